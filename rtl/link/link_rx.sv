// SPDX-License-Identifier: Apache-2.0
// What becomes of received flits: puts the data flits of a session into order, lets each through once, queues their
// words by channel, and asks for what is missing. A flit in its turn is pushed in the cycle in which it comes, its first
// word can be read a cycle later. With `Selective`, flits that come early are kept until it is their turn, and
// only what is missing is asked for; without, they are dropped, and all that follows is asked for.
`include "tandem_assert.svh"

module link_rx
  import tandem_pkg::*;
#(
  parameter bit Selective
) (
  input  logic                                           clk_i,
  input  logic                                           rst_ni,
  input  logic                                           run_i,       // a session is on
  input  logic                                           clear_i,     // it is forgotten
  input  logic                                           word_valid_i,
  input  logic                   [$clog2(FlitWords)-1:0] word_index_i,
  input  logic                  [LinkWordBytes-1:0][7:0] word_i,
  input  logic                                     [1:0] word_channel_i,
  input  flit_t                                          flit_i,
  output logic                        [SequenceBits-1:0] ack_o,
  output flit_ask_t                                      ask_o,
  input  logic                                           ask_taken_i,
  output logic        [LinkChannels-1:0][CreditBits-1:0] limit_o,
  output logic        [LinkChannels-1:0]                 word_valid_o,
  output logic        [LinkChannels-1:0][LinkWordBytes-1:0][7:0] word_o,
  input  logic        [LinkChannels-1:0]                 word_ready_i,
  output logic        [LinkChannels-1:0]                 pushed_o,    // a flit whose words can be read next
  output logic                   [$clog2(FlitWords)-1:0] pushed_words_last_o
);

  localparam int unsigned Slots[LinkChannels] = '{ControlSlots, LatencySlots, BulkSlots};
  localparam int unsigned SlotBits  = $clog2(BulkSlots);
  localparam int unsigned TimerBits = $clog2(RetryTimeout);
  localparam int unsigned WindowBits = $clog2(ReplayDepth);

  typedef logic [SequenceBits-1:0] number_t;

  // A flit that waits for its turn.
  typedef struct packed {
    logic                   [1:0] channel;
    logic          [SlotBits-1:0] slot;
    logic [$clog2(FlitWords)-1:0] words_last;
  } place_t;

  number_t wanted_d, wanted_q;  // everything before it has come
  number_t seen_d, seen_q;      // everything before it is known to have been sent
  number_t ask_d, ask_q;        // everything before it has come or has been asked for
  logic [TimerBits-1:0] retry_d, retry_q;

  // The channel that does not exist has no room.
  logic [3:0]               landed_valid;
  logic [3:0][SlotBits-1:0] landed;
  assign landed_valid[LinkChannels] = 1'b0;
  assign landed[LinkChannels]       = '0;

  // What the reorder table says.
  logic   wanted_present, number_present, ask_present;
  place_t wanted_place;

  // What becomes of a flit.
  flit_header_t header;
  logic    good, data, in_turn, early, drain, progress;
  number_t ahead;
  place_t  place, pushed;
  assign header   = flit_i.header;
  assign good     = run_i && !clear_i && flit_i.valid && flit_i.good;
  assign data     = good && header.kind == FlitData && landed_valid[header.channel];
  assign ahead    = header.number - wanted_q;
  assign in_turn  = data && ahead == '0 && !wanted_present;
  assign early    = Selective && data && ahead != '0 && ahead < number_t'(ReplayDepth) && !number_present;
  assign drain    = wanted_present && !clear_i;
  assign progress = in_turn || drain;
  assign place    = '{channel: header.channel, slot: landed[header.channel], words_last: header.words_last};
  assign pushed   = drain ? wanted_place : place;

  // Which number the peer says that it has come to.
  logic    tells, newer;
  number_t told;
  always_comb begin
    tells = 1'b0;
    told  = header.number;
    case (header.kind)
      FlitData: begin
        tells = data;
        told  = header.number + 1'b1;
      end
      FlitIdle, FlitReady, FlitClose: tells = good;
      default: tells = 1'b0;
    endcase
  end
  assign newer = tells && number_t'(told - wanted_q) <= number_t'(ReplayDepth)
      && number_t'(told - wanted_q) > number_t'(seen_q - wanted_q);

  logic waiting, timeout;
  assign waiting = ask_q != wanted_q;
  assign timeout = retry_q == TimerBits'(RetryTimeout - 1);

  always_comb begin
    wanted_d = wanted_q + number_t'(progress);
    seen_d   = newer ? told : seen_q;
    ask_d    = ask_q;
    retry_d  = retry_q + 1'b1;
    if (!waiting || progress || timeout) retry_d = '0;
    if (Selective) begin
      if (ask_taken_i || (ask_present && ask_q != seen_q)) ask_d = ask_q + 1'b1;
      if (progress && !waiting) ask_d = wanted_d;
    end else begin
      // What came behind the missing one will come again.
      if (progress) seen_d = wanted_d;
      if (ask_taken_i || waiting || progress) ask_d = seen_d;
    end
    if (timeout && !progress) ask_d = wanted_q;
    if (clear_i) begin
      wanted_d = '0;
      seen_d   = '0;
      ask_d    = '0;
      retry_d  = '0;
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      wanted_q <= '0;
      seen_q   <= '0;
      ask_q    <= '0;
      retry_q  <= '0;
    end else begin
      wanted_q <= wanted_d;
      seen_q   <= seen_d;
      ask_q    <= ask_d;
      retry_q  <= retry_d;
    end
  end

  if (Selective) begin : gen_reorder
    logic [ReplayDepth-1:0] present_d, present_q;
    place_t                 place_q[ReplayDepth];

    assign wanted_present = present_q[wanted_q[WindowBits-1:0]];
    assign number_present = present_q[header.number[WindowBits-1:0]];
    assign ask_present    = present_q[ask_q[WindowBits-1:0]];
    assign wanted_place   = place_q[wanted_q[WindowBits-1:0]];

    always_comb begin
      present_d = present_q;
      if (early) present_d[header.number[WindowBits-1:0]] = 1'b1;
      if (drain) present_d[wanted_q[WindowBits-1:0]] = 1'b0;
      if (clear_i) present_d = '0;
    end

    always_ff @(posedge clk_i or negedge rst_ni) begin
      if (!rst_ni) present_q <= '0;
      else present_q <= present_d;
    end

    always_ff @(posedge clk_i) begin
      if (early && rst_ni) place_q[header.number[WindowBits-1:0]] <= place;
    end
  end else begin : gen_in_order
    assign wanted_present = 1'b0;
    assign number_present = 1'b0;
    assign ask_present    = 1'b0;
    assign wanted_place   = '0;
  end

  for (genvar c = 0; c < LinkChannels; c++) begin : gen_channel
    logic [$clog2(Slots[c])-1:0] slot;
    flit_queue #(
      .Slots(Slots[c])
    ) u_queue (
      .clk_i,
      .rst_ni,
      .clear_i,
      .word_valid_i     (word_valid_i && word_channel_i == 2'(c)),
      .word_index_i,
      .word_i,
      .landed_valid_o   (landed_valid[c]),
      .landed_o         (slot),
      .keep_i           ((in_turn || early) && header.channel == 2'(c)),
      .push_i           (pushed_o[c]),
      .push_slot_i      ($clog2(Slots[c])'(pushed.slot)),
      .push_words_last_i(pushed.words_last),
      .word_valid_o     (word_valid_o[c]),
      .word_o           (word_o[c]),
      .word_ready_i     (word_ready_i[c]),
      .limit_o          (limit_o[c])
    );
    assign landed[c]   = SlotBits'(slot);
    assign pushed_o[c] = progress && pushed.channel == 2'(c);
  end

  // The rest of the header is for others.
  logic unused_header;
  assign unused_header = ^header;

  assign ack_o               = wanted_q;
  assign ask_o               = '{valid: ask_q != seen_q && !ask_present, number: ask_q};
  assign pushed_words_last_o = pushed.words_last;

  `TANDEM_INVARIANT(INV_LRX_1, number_t'(seen_q - wanted_q) <= number_t'(ReplayDepth))
  `TANDEM_INVARIANT(INV_LRX_2, number_t'(ask_q - wanted_q) <= number_t'(seen_q - wanted_q))
  `TANDEM_INVARIANT(INV_LRX_3, !(ask_taken_i && !ask_o.valid))
  `TANDEM_INVARIANT(INV_LRX_4, Selective || ask_q == wanted_q || ask_q == seen_q)

endmodule : link_rx
