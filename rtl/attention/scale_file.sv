// SPDX-License-Identifier: Apache-2.0
// Scale codes of the tiles in flight, for one segment: written by words as the banks deliver them, read by tokens.
//
// A tile has `Blocks` words of 32 bytes. FP4: word 2 * part + beat / 16 holds bytes {hi, lo} for 16 tokens. INT8: word
// `part` holds one byte for each of 32 tokens. A read gives the codes of all blocks of one token: block 2 * part + chain
// in FP4, block `part` in INT8.
module scale_file
  import tandem_pkg::*;
#(
  parameter int unsigned Segments,
  parameter int unsigned Tiles,
  parameter int unsigned Reads,
  localparam int unsigned Blocks   = 2 * chain_parts(Segments),
  localparam int unsigned WordBits = $clog2(Blocks)
) (
  input  logic                                    clk_i,
  input  logic                                    rst_ni,
  input  logic                                    write_i,
  input  logic [1:0]                              write_tile_i,
  input  logic [WordBits-1:0]                     write_word_i,
  input  logic [SegmentLanes-1:0][7:0]            write_data_i,
  input  logic [Reads-1:0]                        read_int8_i,
  input  logic [Reads-1:0][1:0]                   read_tile_i,
  input  logic [Reads-1:0][4:0]                   read_beat_i,
  output logic [Reads-1:0][Blocks-1:0][7:0]       blocks_o
);

  localparam int unsigned Bytes       = Tiles * Blocks * SegmentLanes;
  localparam int unsigned AddressBits = $clog2(Bytes);

  logic [7:0] scale_q[Bytes];

  // {tile, word, byte}; a file of one tile has no tile bits.
  function automatic logic [AddressBits-1:0] address(input logic [1:0] tile,
                                                     input logic [WordBits-1:0] word,
                                                     input logic [4:0] byte_index);
    return AddressBits'({tile, word, byte_index});
  endfunction

  always_ff @(posedge clk_i) begin
    if (write_i && rst_ni) begin
      for (int unsigned i = 0; i < SegmentLanes; i++) begin
        scale_q[address(write_tile_i, write_word_i, 5'(i))] <= write_data_i[i];
      end
    end
  end

  always_comb begin
    for (int unsigned r = 0; r < Reads; r++) begin
      for (int unsigned k = 0; k < Blocks; k++) begin
        blocks_o[r][k] = read_int8_i[r]
            ? scale_q[address(read_tile_i[r], WordBits'(k), read_beat_i[r])]
            : scale_q[address(read_tile_i[r], WordBits'((k & ~32'd1) + 32'(read_beat_i[r][4])),
                              {read_beat_i[r][3:0], 1'(k)})];
      end
    end
  end

endmodule : scale_file
