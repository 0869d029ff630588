// SPDX-License-Identifier: Apache-2.0
// What replay_buffer has to do, for one flit that is picked freely, with one bit of its words and entry.
module replay_buffer_properties
  import tandem_pkg::*;
#(
  parameter bit Selective
) (
  input logic                    clk_i,
  input logic                    rst_ni,
  input logic                    clear_i,
  input logic                    push_i,
  input logic                    entry_i,
  input logic                    bit_i,
  input logic                    ack_valid_i,
  input logic [SequenceBits-1:0] ack_i,
  input logic                    ask_valid_i,
  input logic [SequenceBits-1:0] ask_i,
  input logic                    resend_take_i,
  input logic                    pick_i
);

  typedef logic [SequenceBits-1:0]      number_t;
  typedef logic [$clog2(FlitWords)-1:0] index_t;

  // Reset lasts for the first cycle.
  logic init_q = 1'b1;
  always_ff @(posedge clk_i) init_q <= 1'b0;
  always_comb assume (rst_ni == !init_q);

  // ---- the neighbour ----
  // Takes are FlitWords cycles apart; the words follow the take.
  index_t phase_q;  // 0: a flit may be taken
  index_t index;    // of the word that goes out
  logic   writing_q;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      phase_q   <= '0;
      writing_q <= 1'b0;
    end else begin
      phase_q   <= phase_q == index_t'(FlitWords - 1) ? '0 : phase_q + 1'b1;
      if (phase_q == '0) writing_q <= push_i;
    end
  end
  assign index = phase_q == '0 ? index_t'(FlitWords - 1) : index_t'(phase_q - 1'b1);

  replay_entry_t                 entry;
  logic [LinkWordBytes-1:0][7:0] word_in, word_out;
  resend_t                       resend;
  number_t                       next;
  logic                          full, crowded, empty;
  always_comb begin
    entry         = '0;
    entry.channel = {1'b0, entry_i};
    word_in       = '0;
    word_in[0]    = {7'd0, bit_i};
  end

  replay_buffer #(
    .Selective(Selective)
  ) dut (
    .clk_i,
    .rst_ni,
    .clear_i,
    .push_i,
    .push_entry_i (entry),
    .write_i      (writing_q),
    .write_index_i(index),
    .word_i       (word_in),
    .ack_valid_i,
    .ack_i,
    .ask_valid_i,
    .ask_i,
    .resend_o     (resend),
    .resend_take_i,
    .read_index_i (index),
    .word_o       (word_out),
    .next_o       (next),
    .full_o       (full),
    .crowded_o    (crowded),
    .empty_o      (empty)
  );

  // link_tx takes one flit at a time, and none in the cycle of a clear.
  always_comb begin
    if (phase_q != '0 || clear_i) assume (!push_i && !resend_take_i);
    if (full) assume (!push_i);
    if (!resend.valid) assume (!resend_take_i);
    assume (!(push_i && resend_take_i));
  end

  // ---- what it has to do ----
  number_t acked_q, next_q, outstanding, freed;
  assign outstanding = next_q - acked_q;
  assign freed       = ack_valid_i && number_t'(ack_i - acked_q) <= outstanding ? number_t'(ack_i - acked_q) : '0;
  logic asked;  // for something outstanding
  assign asked = ask_valid_i && number_t'(ask_i - acked_q) >= freed && number_t'(ask_i - acked_q) < outstanding;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      acked_q <= '0;
      next_q  <= '0;
    end else if (clear_i) begin
      acked_q <= '0;
      next_q  <= '0;
    end else begin
      acked_q <= acked_q + freed;
      next_q  <= next_q + number_t'(push_i);
    end
  end

  // The picked flit.
  logic                 tracked_q;  // picked, and not acknowledged
  logic                 wanted_q;   // and has to be sent again
  logic                 picking;
  logic                 entry_q;
  number_t              number_q;
  logic [FlitWords-1:0] words_q;
  logic                 writes_q;   // its words go out
  logic                 reads_q;    // its words go out again
  logic                 covered, mine;
  assign picking = pick_i && push_i && !tracked_q && !reads_q;
  assign mine    = tracked_q && resend_take_i && resend.number == number_q;
  always_comb begin
    // An ask for it, or (go-back-N) for one before it.
    covered = asked && (Selective ? ask_i == number_q
                                  : number_t'(ask_i - acked_q) <= number_t'(number_q - acked_q));
  end
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      tracked_q <= 1'b0;
      wanted_q  <= 1'b0;
      entry_q   <= 1'b0;
      number_q  <= '0;
      words_q   <= '0;
      writes_q  <= 1'b0;
      reads_q   <= 1'b0;
    end else begin
      if (picking) begin
        tracked_q <= 1'b1;
        number_q  <= next;
        entry_q   <= entry_i;
        wanted_q  <= asked && !Selective;
      end else if (clear_i || (tracked_q && number_t'(number_q - acked_q) < freed)) begin
        tracked_q <= 1'b0;
        wanted_q  <= 1'b0;
      end else if (tracked_q) begin
        // What is taken just now answers an ask for itself; after an ask for one before it, it has to go again.
        if (covered && !(mine && ask_i == number_q)) wanted_q <= 1'b1;
        else if (mine) wanted_q <= 1'b0;
      end
      if (phase_q == '0) begin
        writes_q <= picking;
        reads_q  <= mine && !clear_i;
      end else if (clear_i) begin
        writes_q <= 1'b0;
        reads_q  <= 1'b0;
      end
      if (writes_q) words_q[index] <= bit_i;
    end
  end

  always_comb begin
    if (rst_ni) begin
      p_next : assert (next == next_q && empty == (outstanding == '0) && full == (outstanding == number_t'(ReplayDepth))
                      && crowded == (outstanding >= number_t'(ReplayDepth - ReplayDepth / 8)));
      p_window : assert (outstanding <= number_t'(ReplayDepth));
      p_resend_outstanding : assert (!resend.valid || number_t'(resend.number - acked_q) < outstanding);
      p_ask_kept : assert (!wanted_q || (resend.valid
                           && number_t'(resend.number - acked_q) <= number_t'(number_q - acked_q)));
      p_only_asked : assert (!(tracked_q && !wanted_q && resend.valid && resend.number == number_q));
      p_entry_kept : assert (!(tracked_q && resend.valid && resend.number == number_q) || resend.entry.channel[0] == entry_q);
      p_words_kept : assert (!reads_q || word_out[0][0] == words_q[index]);
    end
  end

  // ---- what makes it inductive ----
  typedef logic [$clog2(ReplayDepth)-1:0] slot_t;
  slot_t slot;
  assign slot = slot_t'(number_q);
  logic kept;  // all words of it that went out are in their places
  always_comb begin
    kept = 1'b1;
    for (int unsigned b = 0; b < FlitWords; b++) begin
      if ((tracked_q || reads_q) && !(writes_q && index <= index_t'(b))) begin
        kept &= dut.gen_column[0].words_q[{slot, index_t'(b)}][0] == words_q[b];
      end
    end
  end
  always_comb begin
    if (!init_q) begin
      h_window : assert (dut.acked_q == acked_q && dut.next_q == next_q);
      h_tracked : assert (!tracked_q || number_t'(number_q - acked_q) < outstanding);
      h_wanted : assert (!wanted_q || tracked_q);
      h_mark : assert (!tracked_q || dut.marks_q[slot] == wanted_q);
      h_entry : assert (!tracked_q || dut.entry_q[slot].channel[0] == entry_q);
      h_writes : assert (!writes_q || (writing_q && (!tracked_q || number_q == number_t'(next_q - 1'b1))));
      h_other_writes : assert (!(writing_q && !writes_q && tracked_q && number_q == number_t'(next_q - 1'b1)));
      h_reads : assert (!reads_q || (dut.read_slot_q == slot && !writes_q && !writing_q));
      h_words : assert (kept);
    end
  end

  // ---- cases that are reached ----
  logic acked_while_reading;
  assign acked_while_reading = reads_q && !tracked_q;
  always_comb begin
    if (rst_ni) begin
      c_full : cover (full);
      c_wrap : cover (next_q < acked_q && full);
      c_resend : cover (mine && outstanding == number_t'(ReplayDepth));
      c_acked_while_reading : cover (acked_while_reading);
      c_twice : cover (wanted_q && acked_q != '0);
    end
  end

endmodule : replay_buffer_properties
