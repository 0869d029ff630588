// SPDX-License-Identifier: Apache-2.0
// Delays `Width` bits by `Depth` cycles. Reset clears every stage. Depth is at least 1.
module delay_line #(
  parameter int unsigned Width,
  parameter int unsigned Depth
) (
  input  logic             clk_i,
  input  logic             rst_ni,
  input  logic [Width-1:0] data_i,
  output logic [Width-1:0] data_o
);

  logic [Width-1:0] stage_q[Depth];

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      for (int unsigned i = 0; i < Depth; i++) stage_q[i] <= '0;
    end else begin
      stage_q[0] <= data_i;
      for (int unsigned i = 1; i < Depth; i++) stage_q[i] <= stage_q[i-1];
    end
  end

  assign data_o = stage_q[Depth-1];

endmodule : delay_line
