// SPDX-License-Identifier: Apache-2.0
// Where the flits of one channel land and wait to be read, a word per cycle. Words are written before it is known whether
// their flit is good; who judges it keeps its slot, and says when it is its turn. A word can be read 1 cycle after its
// flit was pushed. At least one slot is always free, so a flit always has a place to land, and a peer that sends
// more than it may loses only its own flits.
`include "tandem_assert.svh"

module flit_queue
  import tandem_pkg::*;
#(
  parameter int unsigned Slots,  // a power of two
  localparam int unsigned SlotBits  = $clog2(Slots),
  localparam int unsigned IndexBits = $clog2(FlitWords),
  localparam int unsigned Columns   = LinkWordBytes / 8
) (
  input  logic                          clk_i,
  input  logic                          rst_ni,
  input  logic                          clear_i,        // forgets what was kept and not pushed
  input  logic                          word_valid_i,
  input  logic          [IndexBits-1:0] word_index_i,
  input  logic [LinkWordBytes-1:0][7:0] word_i,
  output logic                          landed_valid_o, // the flit that has landed last may be kept
  output logic           [SlotBits-1:0] landed_o,       // its slot
  input  logic                          keep_i,         // it is
  input  logic                          push_i,
  input  logic           [SlotBits-1:0] push_slot_i,
  input  logic          [IndexBits-1:0] push_words_last_i,
  output logic                          word_valid_o,
  output logic [LinkWordBytes-1:0][7:0] word_o,
  input  logic                          word_ready_i,
  output logic         [CreditBits-1:0] limit_o
);

  logic     [Slots-1:0] kept_d, kept_q;        // by slot: waits for its push
  logic     [Slots-1:0] queued_d, queued_q;    // by slot: waits to be read
  logic  [SlotBits-1:0] landing_d, landing_q;
  logic  [SlotBits-1:0] push_d, push_q, pop_d, pop_q;
  logic [IndexBits-1:0] read_d, read_q;        // next word of the oldest flit
  logic [CreditBits-1:0] freed_d, freed_q;     // slots freed, less those that were queued at `clear_i`
  logic  [SlotBits-1:0] slot_q      [Slots];   // what is queued, oldest at pop_q
  logic [IndexBits-1:0] words_last_q[Slots];

  // Where the next flit lands. The verdict on the flit before may come with the first word of the next: its slot is
  // not chosen, unless there is no other, but then it cannot be kept.
  logic    [Slots-1:0] others;
  logic [SlotBits-1:0] chosen, write_slot;
  always_comb begin
    others            = ~(kept_q | queued_q);
    others[landing_q] = 1'b0;
    chosen            = landing_q;
    for (int unsigned s = 0; s < Slots; s++) begin
      if (others[Slots-1-s]) chosen = SlotBits'(Slots - 1 - s);
    end
  end
  assign write_slot = word_index_i == '0 ? chosen : landing_q;

  logic [SlotBits-1:0] head;
  logic pop;
  assign head = slot_q[pop_q];
  assign pop  = word_valid_o && word_ready_i && read_q == words_last_q[pop_q];

  always_comb begin
    kept_d    = kept_q;
    queued_d  = queued_q;
    landing_d = landing_q;
    push_d    = push_q + SlotBits'(push_i);
    pop_d     = pop_q + SlotBits'(pop);
    read_d    = read_q;
    freed_d   = freed_q + CreditBits'(pop);
    if (word_valid_i) landing_d = write_slot;
    if (keep_i) kept_d[landing_q] = 1'b1;
    if (push_i) begin
      kept_d[push_slot_i]   = 1'b0;
      queued_d[push_slot_i] = 1'b1;
    end
    if (word_valid_o && word_ready_i) read_d = read_q + 1'b1;
    if (pop) begin
      queued_d[head] = 1'b0;
      read_d         = '0;
    end
    if (clear_i) begin
      kept_d  = '0;
      freed_d = -CreditBits'(SlotBits'(push_q - pop_d));
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      kept_q    <= '0;
      queued_q  <= '0;
      landing_q <= '0;
      push_q    <= '0;
      pop_q     <= '0;
      read_q    <= '0;
      freed_q   <= '0;
    end else begin
      kept_q    <= kept_d;
      queued_q  <= queued_d;
      landing_q <= landing_d;
      push_q    <= push_d;
      pop_q     <= pop_d;
      read_q    <= read_d;
      freed_q   <= freed_d;
    end
  end

  always_ff @(posedge clk_i) begin
    if (push_i && rst_ni) begin
      slot_q[push_q]       <= push_slot_i;
      words_last_q[push_q] <= push_words_last_i;
    end
  end

  // Words in columns of eight bytes.
  logic [Columns-1:0][63:0] columns_in, columns_out;
  assign columns_in = word_i;

  for (genvar c = 0; c < Columns; c++) begin : gen_column
    logic [63:0] data_q[Slots*FlitWords];
    always_ff @(posedge clk_i) begin
      if (word_valid_i && rst_ni) data_q[{write_slot, word_index_i}] <= columns_in[c];
    end
    assign columns_out[c] = data_q[{head, read_q}];
  end

  assign landed_valid_o = others != '0;
  assign landed_o       = landing_q;
  assign word_valid_o   = push_q != pop_q;
  assign word_o         = word_valid_o ? columns_out : '0;
  assign limit_o        = freed_q + CreditBits'(Slots - 1);

  `TANDEM_INVARIANT(INV_QUEUE_1, !(keep_i && !landed_valid_o))
  `TANDEM_INVARIANT(INV_QUEUE_2,
                    !push_i || kept_q[push_slot_i] || (keep_i && push_slot_i == landing_q))
  `TANDEM_INVARIANT(INV_QUEUE_3, !(clear_i && (keep_i || push_i)))
  `TANDEM_INVARIANT(INV_QUEUE_4, (kept_q | queued_q) != '1 && (kept_q & queued_q) == '0)
  `TANDEM_INVARIANT(INV_QUEUE_5, !(word_valid_i && (kept_q[write_slot] || queued_q[write_slot])))

endmodule : flit_queue
