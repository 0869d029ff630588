// SPDX-License-Identifier: Apache-2.0
// Data flits that were sent and not yet acknowledged, numbered modulo 128, and marks on those that have to be sent again.
// A flit that is taken in keeps its place until it is acknowledged; its words follow it in the four cycles after.
// Takes (`push_i`, `resend_take_i`) are at least four cycles apart.
`include "tandem_assert.svh"

module replay_buffer
  import tandem_pkg::*;
#(
  parameter bit Selective  // an ask marks the one flit, not all from it on
) (
  input  logic                          clk_i,
  input  logic                          rst_ni,
  input  logic                          clear_i,
  input  logic                          push_i,  // gets the number `next_o`
  input  replay_entry_t                 push_entry_i,
  input  logic                          write_i,  // a word of the flit pushed last
  input  logic [$clog2(FlitWords)-1:0]  write_index_i,
  input  logic [LinkWordBytes-1:0][7:0] word_i,
  input  logic                          ack_valid_i,
  input  logic       [SequenceBits-1:0] ack_i,  // the peer has all before this one
  input  logic                          ask_valid_i,
  input  logic       [SequenceBits-1:0] ask_i,  // the peer misses this one
  output resend_t                       resend_o,
  input  logic                          resend_take_i,
  input  logic [$clog2(FlitWords)-1:0]  read_index_i,
  output logic [LinkWordBytes-1:0][7:0] word_o,  // of the flit whose resend was taken last
  output logic       [SequenceBits-1:0] next_o,
  output logic                          full_o,
  output logic                          crowded_o,  // what is left is for small channels
  output logic                          empty_o
);

  localparam int unsigned SlotBits    = $clog2(ReplayDepth);
  localparam int unsigned AddressBits = SlotBits + $clog2(FlitWords);
  localparam int unsigned Columns     = LinkWordBytes / 8;

  typedef logic [SequenceBits-1:0] number_t;
  typedef logic     [SlotBits-1:0] slot_t;
  typedef logic  [ReplayDepth-1:0] marks_t;

  number_t acked_d, acked_q, next_d, next_q;
  marks_t  marks_d, marks_q;  // by slot: the number's low bits
  slot_t   read_slot_d, read_slot_q;
  replay_entry_t entry_q[ReplayDepth];

  // The slots of `count` flits from `first` on.
  function automatic marks_t span(input slot_t first, input number_t count);
    marks_t from_zero = ~({ReplayDepth{1'b1}} << count);
    marks_t unused_below;
    {span, unused_below} = {from_zero, from_zero} << first;
  endfunction

  number_t outstanding;
  assign outstanding = next_q - acked_q;

  // The first marked one from the oldest on: in the slots up from its own, else in those that come after the wrap.
  marks_t  ahead, candidates;
  slot_t   first_slot;
  always_comb begin
    ahead      = marks_q & ({ReplayDepth{1'b1}} << slot_t'(acked_q));
    candidates = ahead != '0 ? ahead : marks_q;
    first_slot = '0;
    for (int s = ReplayDepth - 1; s >= 0; s--) if (candidates[s]) first_slot = slot_t'(s);
  end

  // An acknowledgement or an ask from outside the window means nothing.
  number_t freed, wanted_from;
  logic    asked;
  always_comb begin
    freed       = ack_i - acked_q;
    if (!ack_valid_i || freed > outstanding) freed = '0;
    acked_d     = acked_q + freed;
    next_d      = next_q + number_t'(push_i);
    wanted_from = ask_i - acked_d;
    asked       = ask_valid_i && wanted_from < outstanding - freed;
    if (clear_i) begin
      acked_d = '0;
      next_d  = '0;
    end
  end

  // All from the one that is asked for on: also the one that is pushed just now. If it is taken just now, it was not
  // asked for in vain.
  marks_t again;
  always_comb begin
    again = asked ? span(slot_t'(ask_i), Selective ? number_t'(1) : next_d - ask_i) : '0;
    if (ask_i == resend_o.number && resend_take_i) again[first_slot] = 1'b0;
    marks_d = marks_q & ~span(slot_t'(acked_q), freed);
    if (resend_take_i) marks_d[first_slot] = 1'b0;
    marks_d |= again;
    if (clear_i) marks_d = '0;
    read_slot_d = resend_take_i ? first_slot : read_slot_q;
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      acked_q     <= '0;
      next_q      <= '0;
      marks_q     <= '0;
      read_slot_q <= '0;
    end else begin
      acked_q     <= acked_d;
      next_q      <= next_d;
      marks_q     <= marks_d;
      read_slot_q <= read_slot_d;
    end
  end

  always_ff @(posedge clk_i) begin
    if (push_i && rst_ni) entry_q[slot_t'(next_q)] <= push_entry_i;
  end

  // Words in columns of eight bytes.
  logic [AddressBits-1:0]   write_address, read_address;
  logic [Columns-1:0][63:0] columns_in, columns_out;
  assign write_address = {slot_t'(next_q - 1'b1), write_index_i};
  assign read_address  = {read_slot_q, read_index_i};
  assign columns_in    = word_i;
  assign word_o        = columns_out;

  for (genvar c = 0; c < Columns; c++) begin : gen_column
    logic [63:0] words_q[FlitWords * ReplayDepth];
    always_ff @(posedge clk_i) begin
      if (write_i && rst_ni) words_q[write_address] <= columns_in[c];
    end
    assign columns_out[c] = words_q[read_address];
  end

  assign resend_o.valid  = marks_q != '0;
  assign resend_o.number = acked_q + number_t'(slot_t'(first_slot - slot_t'(acked_q)));
  assign resend_o.entry  = entry_q[first_slot];
  assign next_o          = next_q;
  assign full_o          = outstanding == number_t'(ReplayDepth);
  assign crowded_o       = outstanding >= number_t'(ReplayDepth - ReplayDepth / 8);
  assign empty_o         = outstanding == '0;

  `TANDEM_INVARIANT(INV_REPLAY_1, outstanding <= number_t'(ReplayDepth))
  `TANDEM_INVARIANT(INV_REPLAY_2, (marks_q & ~span(slot_t'(acked_q), outstanding)) == '0)
  `TANDEM_INVARIANT(INV_REPLAY_3, !(push_i && (full_o || resend_take_i || clear_i)))
  `TANDEM_INVARIANT(INV_REPLAY_4, !(resend_take_i && !resend_o.valid))

endmodule : replay_buffer
