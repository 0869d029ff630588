// SPDX-License-Identifier: Apache-2.0
// Stationary operands of one row and segment: q as the array's lanes hold it, of every head in flight. One write
// port, one combinational read port. Reset does not touch the entries, it only keeps writes out: an entry holds
// nothing defined before its first write.
module q_file
  import tandem_pkg::*;
#(
  parameter int unsigned Segments,
  localparam int unsigned Parts    = 2 * chain_parts(Segments),
  localparam int unsigned PartBits = $clog2(Parts)
) (
  input  logic           clk_i,
  input  logic           rst_ni,
  input  operand_write_t operand_write_i,  // the low PartBits of its part count
  input  lane_byte_t     operand_i,
  input  logic     [1:0] load_head_i,
  input  logic     [1:0] load_part_i,      // its low PartBits count
  input  logic     [5:0] load_count_i,
  output lane_byte_t     operand_o
);

  // {head, part, count}
  lane_byte_t operand_q[Contexts*Parts*64];

  logic [PartBits+7:0] write_address, load_address;
  assign write_address = {operand_write_i.head, PartBits'(operand_write_i.part), operand_write_i.count};
  assign load_address  = {load_head_i, PartBits'(load_part_i), load_count_i};

  // With two parts their upper bit is 0.
  logic unused_part;
  assign unused_part = ^{operand_write_i.part, load_part_i};

  always_ff @(posedge clk_i) begin
    if (operand_write_i.valid && rst_ni) operand_q[write_address] <= operand_i;
  end

  assign operand_o = operand_q[load_address];

endmodule : q_file
