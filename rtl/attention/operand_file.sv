// SPDX-License-Identifier: Apache-2.0
// Stationary operands of one row and segment, x and q: for both chains OperandChunks blocks of 32 elements and their
// scales. A block is written at once; one lane of both chains, or their scales, is read in the same cycle. Reset does
// not touch the entries, it only keeps writes out: an entry holds nothing defined before its first write.
module operand_file
  import tandem_pkg::*;
(
  input  logic                         clk_i,
  input  logic                         rst_ni,
  input  operand_block_t               block_i,       // its rows and segments do not count here
  input  logic [SegmentLanes-1:0][7:0] block_data_i,
  input  logic                   [6:0] load_chunk_i,
  input  logic                   [5:0] load_count_i,  // lane, or 32 for the scales
  output lane_byte_t                   operand_o
);

  localparam int unsigned Columns = SegmentLanes / 8;

  logic [Columns-1:0][63:0] columns_in;
  logic [1:0][7:0]          operand;  // by chain
  assign columns_in = block_data_i;

  logic unused_block;
  assign unused_block = ^{block_i.rows, block_i.segments};

  for (genvar k = 0; k < 2; k++) begin : gen_chain
    logic [Columns-1:0][63:0]     columns_out;
    logic [SegmentLanes-1:0][7:0] lanes;
    logic [7:0]                   scale_q[OperandChunks];

    for (genvar c = 0; c < Columns; c++) begin : gen_column
      logic [63:0] elements_q[OperandChunks];
      always_ff @(posedge clk_i) begin
        if (block_i.valid && block_i.chains[k] && rst_ni) elements_q[block_i.chunk] <= columns_in[c];
      end
      assign columns_out[c] = elements_q[load_chunk_i];
    end

    always_ff @(posedge clk_i) begin
      if (block_i.valid && block_i.chains[k] && rst_ni) scale_q[block_i.chunk] <= block_i.scale;
    end

    assign lanes      = columns_out;
    assign operand[k] = load_count_i[5] ? scale_q[load_chunk_i] : lanes[load_count_i[4:0]];
  end

  assign operand_o.lo = operand[0];
  assign operand_o.hi = operand[1];

endmodule : operand_file
