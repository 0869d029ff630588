// SPDX-License-Identifier: Apache-2.0
// link_tx, a wire that spoils flits, link_rx, and back: what is delivered, credit, and that it goes on.
// Data goes one way; the other way carries acknowledgements, asks and limits. One word of one channel is picked freely:
// it is a one, all others are zeros, so a word that is lost, doubled or in the wrong place shows.
module link_properties
  import tandem_pkg::*;
#(
  parameter bit          Selective,
  parameter bit [2:0]    Channels,   // those that are used
  parameter int unsigned Delay,      // flits on the wire
  parameter bit          Calm,       // nothing is spoiled, and words are read at once
  parameter int unsigned Patience    // cycles in which something goes on, then
) (
  input logic                     clk_i,
  input logic                     rst_ni,
  input logic  [LinkChannels-1:0] valid_i,
  input logic  [LinkChannels-1:0] ready_i,
  input logic               [5:0] picked_i,          // word
  input logic               [1:0] channel_i,         // of this channel
  input logic               [1:0] good_i,            // there, and back
  input logic               [1:0] dropped_i,
  input logic               [1:0] wrong_channel_i,
  input flit_header_t       [1:0] wrong_header_i,
  input logic                     wrong_bit_i,
  input logic               [1:0] delayed_i,
  input logic [$clog2(FlitWords)-1:0] offset_i
);

  typedef logic [$clog2(FlitWords)-1:0] index_t;
  typedef logic [5:0]                   count_t;

  // Reset lasts for the first cycle. What is picked stays.
  logic   init_q = 1'b1;
  count_t picked_q;
  logic [1:0] channel_q, delayed_q;
  index_t offset_q;
  always_ff @(posedge clk_i) begin
    init_q    <= 1'b0;
    picked_q  <= picked_i;
    channel_q <= channel_i;
    delayed_q <= delayed_i;
    offset_q  <= offset_i;
  end
  always_comb begin
    assume (rst_ni == !init_q);
    assume (channel_i < 2'(LinkChannels) && Channels[channel_i]);
    if (!init_q) assume (picked_i == picked_q && channel_i == channel_q && delayed_i == delayed_q && offset_i == offset_q);
  end

  always_comb begin
    if (Calm) assume (good_i == '1 && dropped_i == '0 && ready_i == '1);
  end

  // ---- flits numbered without end, here modulo four times the numbers on the wire ----
  typedef logic [SequenceBits+1:0] number_t;
  typedef logic [SequenceBits-1:0] wire_number_t;
  typedef logic [LinkChannels-1:0][CreditBits-1:0] credits_t;
  typedef logic [$clog2(ReplayDepth)-1:0] slot_t;
  // Of a flit of data.
  typedef struct packed {
    number_t number;
    number_t next;    // of the flit that comes first after it was taken
  } there_t;
  // Of a flit on its way back.
  typedef struct packed {
    number_t  ack;
    credits_t limit;
  } back_t;
  there_t taken;
  back_t  told;

  // ---- the link ----
  index_t [1:0] phase, index;
  index_t       phase_q;
  assign phase = {index_t'(phase_q + offset_i), phase_q};
  for (genvar d = 0; d < 2; d++) begin : gen_index
    assign index[d] = phase[d] == '0 ? index_t'(FlitWords - 1) : phase[d] - 1'b1;
  end

  count_t accepted_q, delivered_q;
  logic [LinkChannels-1:0]                          ready, out_valid;
  logic [LinkChannels-1:0][LinkWordBytes-1:0][7:0]  word_in, word_out;
  always_comb begin
    word_in = '0;
    word_in[channel_i][0] = {7'd0, accepted_q == picked_i};
  end

  flit_request_t [1:0]                     request;
  logic [LinkWordBytes-1:0][7:0]           tx_word, rx_word;
  flit_t                                   peer, there, back;
  logic                                    drained, replayed;
  logic [SequenceBits-1:0]                 ack;
  flit_ask_t                               ask;
  logic                                    ask_taken;
  logic [LinkChannels-1:0][CreditBits-1:0] limit;

  always_comb begin
    peer       = back;
    peer.valid = back.valid && back.good;
  end

  link_tx #(
    .Selective(Selective)
  ) u_tx (
    .clk_i,
    .rst_ni,
    .run_i        (1'b1),
    .accept_i     (1'b1),
    .clear_i      (1'b0),
    .kind_i       (FlitIdle),
    .epoch_i      (8'd1),
    .nonce_i      ('0),
    .heard_i      (1'b0),
    .heard_nonce_i('0),
    .valid_i      (valid_i & Channels),
    .word_i       (word_in),
    .ready_o      (ready),
    .peer_i       (peer),
    .ack_i        ('0),
    .ask_i        ('0),
    .ask_taken_o  (),
    .limit_i      ('0),
    .take_i       (phase[0] == '0 && !init_q),
    .request_o    (request[0]),
    .word_index_i (index[0]),
    .word_o       (tx_word),
    .drained_o    (drained),
    .replayed_o   (replayed),
    .stalled_o    ()
  );

  logic       rx_word_valid, rx_bit;
  index_t     rx_index;
  logic [1:0] rx_channel;
  wire_of_flits #(
    .Delay    (Delay),
    .GhostBits($bits(there_t))
  ) u_there (
    .clk_i,
    .rst_ni,
    .phase_i        (phase[0]),
    .header_i       (request[0].header),
    .ghost_i        (taken),
    .bit_i          (tx_word[0][0]),
    .good_i         (good_i[0]),
    .dropped_i      (dropped_i[0]),
    .wrong_channel_i,
    .wrong_header_i (wrong_header_i[0]),
    .wrong_bit_i,
    .delayed_i      (delayed_i[0]),
    .word_valid_o   (rx_word_valid),
    .word_index_o   (rx_index),
    .bit_o          (rx_bit),
    .word_channel_o (rx_channel),
    .flit_o         (there)
  );
  always_comb begin
    rx_word    = '0;
    rx_word[0] = {7'd0, rx_bit};
  end

  link_rx #(
    .Selective(Selective)
  ) u_rx (
    .clk_i,
    .rst_ni,
    .run_i              (1'b1),
    .clear_i            (1'b0),
    .word_valid_i       (rx_word_valid && !init_q),
    .word_index_i       (rx_index),
    .word_i             (rx_word),
    .word_channel_i     (rx_channel),
    .flit_i             (there),
    .ack_o              (ack),
    .ask_o              (ask),
    .ask_taken_i        (ask_taken),
    .limit_o            (limit),
    .word_valid_o       (out_valid),
    .word_o             (word_out),
    .word_ready_i       (ready_i),
    .pushed_o           (),
    .pushed_words_last_o()
  );

  link_tx #(
    .Selective(Selective)
  ) u_tx_back (
    .clk_i,
    .rst_ni,
    .run_i        (1'b1),
    .accept_i     (1'b1),
    .clear_i      (1'b0),
    .kind_i       (FlitIdle),
    .epoch_i      (8'd1),
    .nonce_i      ('0),
    .heard_i      (1'b0),
    .heard_nonce_i('0),
    .valid_i      ('0),
    .word_i       ('0),
    .ready_o      (),
    .peer_i       ('0),
    .ack_i        (ack),
    .ask_i        (ask),
    .ask_taken_o  (ask_taken),
    .limit_i      (limit),
    .take_i       (phase[1] == '0 && !init_q),
    .request_o    (request[1]),
    .word_index_i (index[1]),
    .word_o       (),
    .drained_o    (),
    .replayed_o   (),
    .stalled_o    ()
  );

  wire_of_flits #(
    .Delay    (Delay),
    .GhostBits($bits(back_t))
  ) u_back (
    .clk_i,
    .rst_ni,
    .phase_i        (phase[1]),
    .header_i       (request[1].header),
    .ghost_i        (told),
    .bit_i          (1'b0),
    .good_i         (good_i[1]),
    .dropped_i      (dropped_i[1]),
    .wrong_channel_i('0),
    .wrong_header_i (wrong_header_i[1]),
    .wrong_bit_i    (1'b0),
    .delayed_i      (delayed_i[1]),
    .word_valid_o   (),
    .word_index_o   (),
    .bit_o          (),
    .word_channel_o (),
    .flit_o         (back)
  );

  // ---- what it has to do ----
  localparam logic [LinkChannels-1:0][CreditBits-1:0] Credits =
      {CreditBits'(BulkSlots - 1), CreditBits'(LatencySlots - 1), CreditBits'(ControlSlots - 1)};

  logic accepts, delivers;
  assign accepts  = valid_i[channel_i] && Channels[channel_i] && ready[channel_i];
  assign delivers = out_valid[channel_i] && ready_i[channel_i];

  // A word is somewhere, and some word comes nearer to its end: into a flit that is sent, into its queue, out of it.
  logic under_way, goes_on;
  assign under_way = !drained || out_valid != '0;
  assign goes_on   = u_tx.push || u_rx.progress || u_tx.u_replay.freed != '0 || (out_valid & ready_i) != '0;

  logic [LinkChannels-1:0][CreditBits-1:0] sent_q;    // new flits
  logic                              [6:0] waited_q;  // cycles in which nothing went on
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      phase_q     <= '0;
      accepted_q  <= '0;
      delivered_q <= '0;
      sent_q      <= '0;
      waited_q    <= '0;
    end else begin
      phase_q     <= phase_q == index_t'(FlitWords - 1) ? '0 : phase_q + 1'b1;
      accepted_q  <= accepted_q + count_t'(accepts);
      delivered_q <= delivered_q + count_t'(delivers);
      if (phase[0] == '0 && request[0].header.kind == FlitData && !replayed) begin
        sent_q[request[0].header.channel] <= sent_q[request[0].header.channel] + 1'b1;
      end
      waited_q <= Calm && under_way && !goes_on ? waited_q + 1'b1 : '0;
    end
  end

  number_t acked_q, next_q, wanted_q;
  number_t come_q[ReplayDepth];  // of the flits that wait for their turn, by slot
  there_t  come;
  logic    new_flit;
  assign come     = delayed_q[0] ? u_there.fates_q[Delay+1].ghost : u_there.fates_q[1].ghost;
  assign new_flit = u_tx.push;
  always_comb begin
    taken.next   = next_q + number_t'(new_flit);
    taken.number = next_q;
    if (replayed) taken.number = next_q - number_t'(wire_number_t'(u_tx.next - request[0].header.number));
    told.ack   = wanted_q;
    told.limit = limit;
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      acked_q  <= '0;
      next_q   <= '0;
      wanted_q <= '0;
    end else begin
      acked_q  <= acked_q + number_t'(u_tx.u_replay.freed);
      next_q   <= taken.next;
      wanted_q <= wanted_q + number_t'(u_rx.progress);
      if (u_rx.early) come_q[slot_t'(there.header.number)] <= come.number;
    end
  end

  // Where the flits and the credit of a channel are.
  logic  [LinkChannels-1:0][31:0] on_their_way, queued;
  for (genvar c = 0; c < LinkChannels; c++) begin : gen_queued
    localparam int unsigned Slots = 32'(Credits[c]) + 1;
    assign queued[c] = 32'($clog2(Slots)'(u_rx.gen_channel[c].u_queue.push_q - u_rx.gen_channel[c].u_queue.pop_q));
  end
  logic credit_bounded, credit_conserved;
  always_comb begin
    on_their_way     = '0;
    credit_bounded   = 1'b1;
    credit_conserved = 1'b1;
    for (int unsigned n = 0; n < ReplayDepth; n++) begin
      if (number_t'(n) < number_t'(next_q - wanted_q)) begin
        on_their_way[u_tx.u_replay.entry_q[slot_t'(wanted_q + number_t'(n))].channel] += 1;
      end
    end
    for (int unsigned c = 0; c < LinkChannels; c++) begin
      credit_bounded &= CreditBits'(u_tx.limit_q[c] - sent_q[c]) <= CreditBits'(limit[c] - sent_q[c])
          && CreditBits'(limit[c] - sent_q[c]) <= Credits[c];
      credit_conserved &= 32'(CreditBits'(limit[c] - sent_q[c])) + queued[c] + on_their_way[c] == 32'(Credits[c]);
    end
  end

  always_comb begin
    if (rst_ni) begin
      p_in_order : assert (!delivers || word_out[channel_i][0][0] == (delivered_q == picked_i));
      p_once : assert (!delivers || delivered_q != accepted_q);
      p_drained : assert (!(drained && out_valid == '0) || delivered_q == accepted_q);
      p_goes_on : assert (waited_q < 7'(Patience));
      p_flit_in_turn : assert (!u_rx.in_turn || (there.good && come.number == wanted_q));
      p_flit_drained : assert (!u_rx.drain || come_q[slot_t'(wanted_q)] == wanted_q);
      p_acked_came : assert (number_t'(wanted_q - acked_q) <= number_t'(next_q - acked_q));
      p_window : assert (number_t'(next_q - acked_q) <= number_t'(ReplayDepth));
      p_credit_bounded : assert (credit_bounded);
      p_credit_conserved : assert (credit_conserved);
    end
  end

  // ---- what makes it inductive ----
  logic there_right, back_right, entries_right;
  there_t t_s, t_older;
  back_t  b_s, b_older;
  number_t seen;
  flit_header_t h_s;
  assign seen = wanted_q + number_t'(wire_number_t'(u_rx.seen_q - u_rx.wanted_q));
  always_comb begin
    // Stage 0 was taken last. All up to the one that comes are in order.
    there_right = 1'b1;
    back_right  = 1'b1;
    t_s         = '0;
    b_s         = '0;
    h_s         = '0;
    t_older     = '{number: next_q, next: next_q};
    b_older     = '{ack: wanted_q, limit: limit};
    for (int unsigned s = 0; s < Delay + 2; s++) begin
      t_s = u_there.fates_q[s].ghost;
      h_s = u_there.fates_q[s].header;
      if (s < (delayed_q[0] ? Delay + 1 : 1) || (s == (delayed_q[0] ? Delay + 1 : 1) && phase[0] == index_t'(1))) begin
        there_right &= number_t'(next_q - t_older.next) <= number_t'(next_q - t_s.next)
            && number_t'(next_q - t_s.next) <= number_t'(next_q - seen);
        if (u_there.fates_q[s].good) begin
          if (h_s.kind == FlitData) begin
            there_right &= number_t'(t_s.next - t_s.number - 1'b1) < number_t'(ReplayDepth)
                && h_s.number == wire_number_t'(t_s.number);
            if (number_t'(t_s.number - wanted_q) < number_t'(ReplayDepth)) begin
              there_right &= h_s.channel == u_tx.u_replay.entry_q[slot_t'(t_s.number)].channel
                  && h_s.words_last == u_tx.u_replay.entry_q[slot_t'(t_s.number)].words_last;
            end
          end else begin
            there_right &= h_s.kind == FlitIdle && h_s.number == wire_number_t'(t_s.next);
          end
        end
        t_older = t_s;
      end
      b_s = u_back.fates_q[s].ghost;
      h_s = u_back.fates_q[s].header;
      if (s < (delayed_q[1] ? Delay + 1 : 1) || (s == (delayed_q[1] ? Delay + 1 : 1) && phase[1] == index_t'(1))) begin
        back_right &= number_t'(wanted_q - b_older.ack) <= number_t'(wanted_q - b_s.ack)
            && number_t'(wanted_q - b_s.ack) <= number_t'(wanted_q - acked_q);
        for (int unsigned c = 0; c < LinkChannels; c++) begin
          back_right &= CreditBits'(b_s.limit[c] - sent_q[c]) <= CreditBits'(b_older.limit[c] - sent_q[c])
              && CreditBits'(u_tx.limit_q[c] - sent_q[c]) <= CreditBits'(b_s.limit[c] - sent_q[c]);
        end
        if (u_back.fates_q[s].good) begin
          back_right &= h_s.kind == FlitIdle && h_s.ack == wire_number_t'(b_s.ack);
          if (!h_s.nak) back_right &= h_s.credit_channel < 2'(LinkChannels) && h_s.credit == b_s.limit[h_s.credit_channel];
        end
        b_older = b_s;
      end
    end
  end
  always_comb begin
    entries_right = 1'b1;
    for (int unsigned n = 0; n < ReplayDepth; n++) begin
      if (number_t'(n) < number_t'(next_q - acked_q)) begin
        entries_right &= u_tx.u_replay.entry_q[slot_t'(acked_q + number_t'(n))].channel < 2'(LinkChannels);
      end
    end
  end
  always_comb begin
    if (!init_q) begin
      h_entries : assert (entries_right);
      h_numbers : assert (u_tx.u_replay.acked_q == wire_number_t'(acked_q) && u_tx.u_replay.next_q == wire_number_t'(next_q)
                          && u_rx.wanted_q == wire_number_t'(wanted_q));
      h_seen : assert (number_t'(next_q - seen) <= number_t'(next_q - wanted_q));
      h_there : assert (there_right);
      h_back : assert (back_right);
      h_nothing_back : assert (u_tx_back.u_replay.next_q == '0 && u_tx_back.u_replay.acked_q == '0
                               && u_tx_back.u_replay.marks_q == '0 && u_tx_back.told_q < 2'(LinkChannels)
                               && u_tx_back.offers == '0);
      h_told : assert (u_tx.told_q < 2'(LinkChannels));
      h_sent : assert (u_tx.sent_q == sent_q);
    end
  end

  for (genvar c = 0; c < LinkChannels; c++) begin : gen_nothing_back
    always_comb begin
      if (!init_q) begin
        h_no_words_back : assert (u_tx_back.gen_channel[c].u_packer.count_q == '0);
      end
    end
  end

  // Flits that wait for their turn.
  if (Selective) begin : gen_table
    logic right;
    number_t number;
    always_comb begin
      right  = 1'b1;
      number = '0;
      for (int unsigned n = 0; n < ReplayDepth; n++) begin
        number = wanted_q + number_t'(n);
        if (u_rx.gen_reorder.present_q[slot_t'(number)]) begin
          right &= number_t'(n) < number_t'(seen - wanted_q) && come_q[slot_t'(number)] == number
              && u_rx.gen_reorder.place_q[slot_t'(number)].channel == u_tx.u_replay.entry_q[slot_t'(number)].channel
              && u_rx.gen_reorder.place_q[slot_t'(number)].words_last
                  == index_t'(u_tx.u_replay.entry_q[slot_t'(number)].words_last);
        end
      end
      if (!init_q) begin
        h_table : assert (right);
      end
    end
  end

  // What flit_queue_properties.sv takes for granted: only what has just landed is kept, only what is kept is pushed.
  for (genvar c = 0; c < LinkChannels; c++) begin : gen_queue
    localparam int unsigned Slots    = 32'(Credits[c]) + 1;
    localparam int unsigned SlotBits = $clog2(Slots);
    logic [Slots-1:0] kept, in_queue, kept_q, queued_q;
    logic [31:0]      waiting;
    logic [SlotBits-1:0] landing, first, at;
    assign kept_q   = u_rx.gen_channel[c].u_queue.kept_q;
    assign queued_q = u_rx.gen_channel[c].u_queue.queued_q;
    assign landing  = u_rx.gen_channel[c].u_queue.landing_q;
    assign first    = u_rx.gen_channel[c].u_queue.pop_q;
    always_comb begin
      in_queue = '0;
      at       = first;
      for (int unsigned n = 0; n < Slots; n++) begin
        at = first + SlotBits'(n);
        if (n < queued[c]) in_queue[u_rx.gen_channel[c].u_queue.slot_q[at]] = 1'b1;
      end
    end
    if (Selective) begin : gen_kept
      always_comb begin
        kept    = '0;
        waiting = '0;
        for (int unsigned n = 0; n < ReplayDepth; n++) begin
          if (u_rx.gen_reorder.present_q[n] && u_rx.gen_reorder.place_q[n].channel == 2'(c)) begin
            kept[SlotBits'(u_rx.gen_reorder.place_q[n].slot)] = 1'b1;
            waiting += 1;
          end
        end
      end
    end else begin : gen_none
      assign kept    = '0;
      assign waiting = '0;
    end
    always_comb begin
      if (!init_q) begin
        h_kept : assert (kept_q == kept && $countones(kept_q) == waiting);
        h_queued : assert (queued_q == in_queue && $countones(queued_q) == queued[c] && (kept_q & queued_q) == '0);
        h_landing : assert (!(rx_word_valid && rx_channel == 2'(c) && rx_index != '0)
                            || !(kept_q[landing] || queued_q[landing]));
        h_landed : assert (!(there.valid && there.good && there.header.channel == 2'(c) && there.header.kind == FlitData)
                           || !(kept_q[landing] || queued_q[landing]));
      end
    end
  end

  // ---- cases that are reached ----
  logic replays_q;  // something was sent again
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) replays_q <= 1'b0;
    else replays_q <= replays_q || replayed;
  end
  always_comb begin
    if (rst_ni) begin
      c_delivered : cover (delivered_q == count_t'(3) && picked_i == count_t'(2));
      c_replayed : cover (u_rx.progress && replays_q && next_q == number_t'(ReplayDepth));
      c_wrap : cover (wanted_q == number_t'(2 * ReplayDepth));
      c_full : cover (!ready[2] && u_tx.full);
    end
  end

endmodule : link_properties
