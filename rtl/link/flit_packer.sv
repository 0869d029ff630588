// SPDX-License-Identifier: Apache-2.0
// Packs a channel's words into flits of up to four. Two slots: words go to the older one until it is full or taken. A word
// is offered in the cycle after it came; a taken flit's words are read by index, from the next cycle on. One word a cycle.
`include "tandem_assert.svh"

module flit_packer
  import tandem_pkg::*;
#(
  localparam int unsigned IndexBits = $clog2(FlitWords),
  localparam int unsigned Columns   = LinkWordBytes / 8
) (
  input  logic                          clk_i,
  input  logic                          rst_ni,
  input  logic                          clear_i,
  input  logic                          valid_i,
  input  logic [LinkWordBytes-1:0][7:0] word_i,
  output logic                          ready_o,
  output flit_offer_t                   offer_o,
  input  logic                          take_i,
  input  logic [IndexBits-1:0]          word_index_i,
  output logic [LinkWordBytes-1:0][7:0] word_o
);

  localparam logic [IndexBits:0] Full = (IndexBits + 1)'(FlitWords);

  logic                    oldest_d, oldest_q;
  logic [1:0][IndexBits:0] count_d, count_q;
  logic [1:0]       [31:0] crc_d, crc_q;
  // The flit taken last.
  logic                    taken_d, taken_q;
  logic [IndexBits:0]      length_d, length_q;

  // A flit that is taken takes no more words.
  logic push, slot;
  assign push = valid_i && ready_o && !clear_i;
  assign slot = oldest_q ^ (take_i || count_q[oldest_q] == Full);

  logic [31:0] state;
  crc32c #(
    .Bytes(LinkWordBytes)
  ) u_crc (
    .state_i(count_q[slot] == '0 ? '0 : crc_q[slot]),
    .data_i (word_i),
    .state_o(state)
  );

  always_comb begin
    oldest_d = oldest_q ^ take_i;
    count_d  = count_q;
    crc_d    = crc_q;
    taken_d  = taken_q;
    length_d = length_q;
    if (take_i) begin
      taken_d           = oldest_q;
      length_d          = count_q[oldest_q];
      count_d[oldest_q] = '0;
    end
    if (push) begin
      count_d[slot] = count_q[slot] + 1'b1;
      crc_d[slot]   = state;
    end
    if (clear_i) count_d = '0;
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      oldest_q <= '0;
      count_q  <= '0;
      crc_q    <= '0;
      taken_q  <= '0;
      length_q <= '0;
    end else begin
      oldest_q <= oldest_d;
      count_q  <= count_d;
      crc_q    <= crc_d;
      taken_q  <= taken_d;
      length_q <= length_d;
    end
  end

  // Words in columns of eight bytes.
  logic [IndexBits:0] write_address, read_address;
  logic [Columns-1:0][63:0] columns_in, columns_out;
  assign write_address = {slot, count_q[slot][IndexBits-1:0]};
  assign read_address  = {taken_q, word_index_i};
  assign columns_in    = word_i;

  for (genvar c = 0; c < Columns; c++) begin : gen_column
    logic [63:0] words_q[2*FlitWords];
    always_ff @(posedge clk_i) begin
      if (push && rst_ni) words_q[write_address] <= columns_in[c];
    end
    assign columns_out[c] = words_q[read_address];
  end

  always_comb begin
    offer_o            = '0;
    offer_o.valid      = count_q[oldest_q] != '0;
    offer_o.words_last = count_q[oldest_q][IndexBits-1:0] - 1'b1;
    offer_o.crc        = crc_q[oldest_q];
  end
  assign ready_o = count_q[0] != Full || count_q[1] != Full;
  assign word_o  = {1'b0, word_index_i} < length_q ? columns_out : '0;

  `TANDEM_INVARIANT(INV_PACKER_1, !(take_i && !offer_o.valid))
  `TANDEM_INVARIANT(INV_PACKER_2, count_q[oldest_q] == Full || count_q[!oldest_q] == '0)

endmodule : flit_packer
