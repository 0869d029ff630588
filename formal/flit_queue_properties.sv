// SPDX-License-Identifier: Apache-2.0
// What flit_queue has to do, for a queue of slots beside it and one flit that is picked freely, with one bit of its words.
module flit_queue_properties
  import tandem_pkg::*;
#(
  parameter int unsigned Slots,
  localparam int unsigned SlotBits  = $clog2(Slots),
  localparam int unsigned IndexBits = $clog2(FlitWords)
) (
  input logic                 clk_i,
  input logic                 rst_ni,
  input logic                 clear_i,
  input logic                 begin_i,            // a flit begins, if none is under way
  input logic                 cut_i,              // the rest of a flit does not come
  input logic                 bit_i,
  input logic                 keep_i,
  input logic                 push_i,
  input logic  [SlotBits-1:0] push_slot_i,
  input logic [IndexBits-1:0] push_words_last_i,
  input logic                 word_ready_i,
  input logic                 pick_i
);

  typedef logic [SlotBits-1:0]  slot_t;
  typedef logic [SlotBits:0]    count_t;
  typedef logic [IndexBits-1:0] index_t;

  // Reset lasts for the first cycle.
  logic init_q = 1'b1;
  always_ff @(posedge clk_i) init_q <= 1'b0;
  always_comb assume (rst_ni == !init_q);

  // ---- the neighbour ----
  index_t phase_q;   // word of the flit under way; 0: none is
  logic   judged_q;  // a flit has just ended
  logic   word_valid;
  assign word_valid = !init_q && (phase_q != '0 ? !cut_i : begin_i);
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      phase_q  <= '0;
      judged_q <= 1'b0;
    end else begin
      phase_q  <= word_valid ? phase_q + 1'b1 : '0;
      judged_q <= word_valid && phase_q == '1;
    end
  end

  logic [LinkWordBytes-1:0][7:0] word_in, word_out;
  logic                          landed_valid, out_valid;
  slot_t                         landed;
  logic         [CreditBits-1:0] limit;
  always_comb begin
    word_in    = '0;
    word_in[0] = {7'd0, bit_i};
  end

  flit_queue #(
    .Slots(Slots)
  ) dut (
    .clk_i,
    .rst_ni,
    .clear_i,
    .word_valid_i  (word_valid),
    .word_index_i  (phase_q),
    .word_i        (word_in),
    .landed_valid_o(landed_valid),
    .landed_o      (landed),
    .keep_i,
    .push_i,
    .push_slot_i,
    .push_words_last_i,
    .word_valid_o  (out_valid),
    .word_o        (word_out),
    .word_ready_i,
    .limit_o       (limit)
  );

  // Only a flit that has just landed is kept, only one that is kept is pushed, nothing of both in a clear.
  logic [Slots-1:0] kept_q, queued_q;
  always_comb begin
    if (!judged_q || !landed_valid || clear_i) assume (!keep_i);
    if (clear_i || !(kept_q[push_slot_i] || (keep_i && push_slot_i == landed))) assume (!push_i);
  end

  // ---- what it has to do: slots are free, kept or queued, and the queued ones are read in order ----
  slot_t                 first_q;             // of the queue
  count_t                count_q;             // queued
  slot_t                 slot_q[Slots];
  index_t                words_last_q[Slots];
  index_t                read_q;
  logic [CreditBits-1:0] pushes_q;            // in this session
  logic                  read, pop;
  slot_t                 head, tail;
  assign read = out_valid && word_ready_i;
  assign pop  = read && count_q != '0 && read_q == words_last_q[first_q];
  assign head = slot_q[first_q];
  assign tail = slot_t'(first_q + slot_t'(count_q));
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      kept_q   <= '0;
      queued_q <= '0;
      first_q  <= '0;
      count_q  <= '0;
      read_q   <= '0;
      pushes_q <= '0;
    end else begin
      if (keep_i) kept_q[landed] <= 1'b1;
      if (push_i) begin
        kept_q[push_slot_i]   <= 1'b0;
        queued_q[push_slot_i] <= 1'b1;
      end
      if (pop) queued_q[head] <= 1'b0;
      if (clear_i) kept_q <= '0;
      first_q  <= first_q + slot_t'(pop);
      count_q  <= count_q + count_t'(push_i) - count_t'(pop);
      read_q   <= pop ? '0 : read_q + index_t'(read);
      pushes_q <= clear_i ? '0 : pushes_q + CreditBits'(push_i);
    end
  end
  always_ff @(posedge clk_i) begin
    if (push_i) begin
      slot_q[tail]       <= push_slot_i;
      words_last_q[tail] <= push_words_last_i;
    end
  end

  // The picked flit.
  logic                 lands_q, waits_q, stands_q;  // it comes; it is kept; it is queued
  slot_t                place_q;                     // its slot
  count_t               before_q;                    // flits that are read before it
  logic [FlitWords-1:0] words_q;
  logic                 picking, judged, pushed;
  assign picking = word_valid && phase_q == '0 && pick_i && !(lands_q || waits_q || stands_q);
  assign judged  = lands_q && judged_q;
  assign pushed  = push_i && ((judged && keep_i && push_slot_i == landed) || (waits_q && push_slot_i == place_q));
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      lands_q  <= 1'b0;
      waits_q  <= 1'b0;
      stands_q <= 1'b0;
      place_q  <= '0;
      before_q <= '0;
      words_q  <= '0;
    end else begin
      if (picking) lands_q <= 1'b1;
      else if (judged || clear_i || (lands_q && !word_valid)) lands_q <= 1'b0;
      if ((picking || lands_q) && word_valid) words_q[phase_q] <= bit_i;
      if (judged) begin
        // A flit that begins now is another one.
        words_q <= words_q;
        place_q <= landed;
      end
      if (picking) words_q[0] <= bit_i;
      if (pushed || clear_i) waits_q <= 1'b0;
      else if (judged && keep_i) waits_q <= 1'b1;
      if (pushed) begin
        stands_q <= 1'b1;
        before_q <= count_q - count_t'(pop);
      end else if (stands_q && pop) begin
        before_q <= before_q - 1'b1;
        if (before_q == '0) stands_q <= 1'b0;
      end
    end
  end

  always_comb begin
    if (rst_ni) begin
      p_slot_free : assert (!keep_i || !(kept_q[landed] || queued_q[landed]));
      p_room : assert (!judged_q || $countones(kept_q | queued_q) > Slots - 2 || landed_valid);
      p_valid : assert (out_valid == (count_q != '0));
      p_words : assert (!(stands_q && before_q == '0 && out_valid) || word_out[0][0] == words_q[read_q]);
      p_credits : assert (CreditBits'(limit - pushes_q) == CreditBits'(Slots - 1) - CreditBits'(count_q));
    end
  end

  // ---- what makes it inductive ----
  logic [Slots-1:0] in_queue;
  logic             queue_same, words_same;
  slot_t            at, place;
  assign place = lands_q ? dut.landing_q : place_q;
  always_comb begin
    in_queue   = '0;
    queue_same = 1'b1;
    words_same = 1'b1;
    at         = first_q;
    for (int unsigned n = 0; n < Slots; n++) begin
      at = slot_t'(first_q + slot_t'(n));
      if (count_t'(n) < count_q) begin
        in_queue[slot_q[at]] = 1'b1;
        queue_same &= dut.slot_q[at] == slot_q[at] && dut.words_last_q[at] == words_last_q[at];
      end
    end
    for (int unsigned b = 0; b < FlitWords; b++) begin
      if (!(lands_q && !judged_q && index_t'(b) >= phase_q)) begin
        words_same &= dut.gen_column[0].data_q[{place, index_t'(b)}][0] == words_q[b];
      end
    end
  end
  always_comb begin
    if (!init_q) begin
      h_masks : assert (dut.kept_q == kept_q && dut.queued_q == queued_q && (kept_q & queued_q) == '0);
      h_queue : assert (dut.pop_q == first_q && dut.push_q == tail && dut.read_q == read_q && queue_same);
      h_set : assert (in_queue == queued_q && $countones(queued_q) == 32'(count_q) && count_q < count_t'(Slots));
      h_read : assert (count_q != '0 ? read_q <= words_last_q[first_q] : read_q == '0);
      h_one : assert (32'(lands_q) + 32'(waits_q) + 32'(stands_q) <= 1);
      h_lands : assert (!lands_q || phase_q != '0 || judged_q);
      h_waits : assert (!waits_q || kept_q[place_q]);
      h_stands : assert (!stands_q || (before_q < count_q && slot_q[slot_t'(first_q + slot_t'(before_q))] == place_q));
      h_words : assert (!(lands_q || waits_q || stands_q) || words_same);
      h_landing : assert (phase_q == '0 || !(kept_q[dut.landing_q] || queued_q[dut.landing_q]));
      h_freed : assert (CreditBits'(dut.freed_q - pushes_q) == -CreditBits'(count_q));
    end
  end

  // ---- cases that are reached ----
  always_comb begin
    if (rst_ni) begin
      c_all_used : cover (judged_q && !landed_valid);
      c_late : cover (waits_q && pushed && (Slots == 2 || count_q != '0));
      c_read : cover (stands_q && before_q == '0 && read && read_q == '1);
      c_clear : cover (clear_i && count_q == count_t'(Slots - 1) && pop);
      c_over_clear : cover (stands_q && pushes_q == '0 && read);
    end
  end

endmodule : flit_queue_properties
