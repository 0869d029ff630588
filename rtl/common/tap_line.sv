// SPDX-License-Identifier: Apache-2.0
// Delay line whose every stage is an output: taps_o[i] is the input i + 1 cycles later.
// Carries control from row to row of the array. Reset clears every stage.
module tap_line #(
  parameter int unsigned Width,
  parameter int unsigned Taps
) (
  input  logic                       clk_i,
  input  logic                       rst_ni,
  input  logic [Width-1:0]           data_i,
  output logic [Taps-1:0][Width-1:0] taps_o
);

  logic [Width-1:0] stage_q[Taps];

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      for (int unsigned i = 0; i < Taps; i++) stage_q[i] <= '0;
    end else begin
      stage_q[0] <= data_i;
      for (int unsigned i = 1; i < Taps; i++) stage_q[i] <= stage_q[i-1];
    end
  end

  for (genvar i = 0; i < Taps; i++) begin : gen_tap
    assign taps_o[i] = stage_q[i];
  end

endmodule : tap_line
