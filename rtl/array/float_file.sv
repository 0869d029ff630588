// SPDX-License-Identifier: Apache-2.0
// Register file of floats: the partial-sum file of a row, the accumulators of a chain. One write port, `Reads`
// combinational read ports. Reset does not touch
// the entries, it only keeps writes out: an entry holds nothing defined before its first write.
module float_file
  import tandem_pkg::*;
#(
  parameter int unsigned Depth,
  parameter int unsigned Reads,
  localparam int unsigned AddressBits = $clog2(Depth)
) (
  input  logic                               clk_i,
  input  logic                               rst_ni,
  input  logic                               write_i,
  input  logic   [AddressBits-1:0]           write_address_i,
  input  float_t                             write_data_i,
  input  logic   [Reads-1:0][AddressBits-1:0] read_address_i,
  output float_t [Reads-1:0]                 read_data_o
);

  float_t entry_q[Depth];

  always_ff @(posedge clk_i) begin
    if (write_i && rst_ni) entry_q[write_address_i] <= write_data_i;
  end

  for (genvar i = 0; i < Reads; i++) begin : gen_read
    assign read_data_o[i] = entry_q[read_address_i[i]];
  end

endmodule : float_file
