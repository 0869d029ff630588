// SPDX-License-Identifier: Apache-2.0
// Reads memory over AXI: takes requests of any number of words, gives their words in order, one per cycle. Bursts are
// sent ahead as far as the buffer has room for their words, each with an ID that no other has; answers may come in any
// order between IDs, and interleaved. The first burst of a request is on AR in the cycle after it, a word can be given 2
// cycles after it came. A burst is sent only when there is room for all of it, so an answer never waits. No burst crosses a
// multiple of `BurstWords` words.
`include "tandem_assert.svh"

module axi_reader
  import tandem_pkg::*;
#(
  parameter int unsigned Depth,       // words that there is room for: a power of two, at least BurstWords
  parameter int unsigned BurstWords,  // words of the longest burst: a power of two, 2 to 64 (4 KB)
  parameter int unsigned FirstId,     // its IDs are this, a multiple of their number,
  parameter int unsigned IdBits,      // and those behind it, 2^IdBits in all: 1 to AxiIdBits
  localparam int unsigned PlaceBits  = $clog2(Depth),
  localparam int unsigned BurstBits  = $clog2(BurstWords),
  localparam int unsigned OffsetBits = $clog2(AxiBytes),
  localparam int unsigned Ids        = 2 ** IdBits,
  localparam int unsigned Columns    = AxiBytes / 8
) (
  input  logic                           clk_i,
  input  logic                           rst_ni,
  input  logic                           flush_i,            // drops all that was requested
  input  logic                           request_valid_i,
  input  logic      [AxiAddressBits-1:0] request_address_i,  // of a word
  input  logic                    [15:0] request_words_i,    // at least one
  output logic                           request_ready_o,
  output axi_address_t                   ar_o,
  input  logic                           ar_ready_i,
  input  axi_read_t                      r_i,
  input  logic       [AxiBytes-1:0][7:0] r_data_i,
  output logic                           r_ready_o,
  output logic                           word_valid_o,
  output logic       [AxiBytes-1:0][7:0] word_o,
  output logic                           word_first_o,       // of its request
  output logic                           word_last_o,
  output logic                           word_error_o,       // refused: this word, or one before
  input  logic                           word_ready_i,
  output logic                           idle_o              // nothing is asked for, and nothing on its way
);

  localparam logic [AxiIdBits-1:0] IdMask = AxiIdBits'(Ids - 1);
  localparam logic [AxiIdBits-1:0] LastId = AxiIdBits'(FirstId) | IdMask;

  axi_address_t                  ar_d, ar_q;
  logic           [LineBits-1:0] address_d, address_q;        // of the next burst
  logic                   [15:0] left_d, left_q;              // words of the request not yet asked for
  logic                          draining_d, draining_q;      // what was flushed still comes
  logic                [Ids-1:0] busy_d, busy_q;              // by ID: its burst is not yet answered
  logic                [Ids-1:0] closing_d, closing_q;        // by ID: its burst is the last of a request
  logic [Ids-1:0][PlaceBits-1:0] place_d, place_q;            // by ID: where the next answer goes
  logic [Ids-1:0][BurstBits-1:0] burst_left_d, burst_left_q;  // by ID: answers behind the next
  logic            [PlaceBits:0] push_d, push_q;              // words that were given a place
  logic            [PlaceBits:0] pop_d, pop_q;                // words that have left it
  logic              [Depth-1:0] present_d, present_q;        // by place: its word is there
  logic                          inside_d, inside_q;          // the next word is not the first of a request
  logic                          word_valid_d, word_valid_q;
  logic                          word_first_d, word_first_q;
  logic                          word_last_d, word_last_q;
  logic                          word_error_d, word_error_q;
  logic      [Columns-1:0][63:0] word_d, word_q;
  logic                          last_q [Depth];              // by place: its word is the last of a request
  logic                          error_q[Depth];              // by place: its word was refused

  // What is to be asked for: the rest of a request, or the one that is taken in this cycle.
  logic                take;
  logic [LineBits-1:0] address;
  logic         [15:0] left;
  assign take    = request_valid_i && request_ready_o;
  assign address = take ? request_address_i[AxiAddressBits-1:OffsetBits] : address_q;
  assign left    = take ? request_words_i : left_q;

  // The next burst: up to the next multiple of BurstWords.
  logic [BurstBits-1:0] length;  // words less one
  logic    [IdBits-1:0] id;
  logic   [PlaceBits:0] room;
  logic                 issue;
  always_comb begin
    length = ~address[BurstBits-1:0];
    if (left <= 16'(length)) length = BurstBits'(left) - 1'b1;
    id = '0;
    for (int unsigned i = 0; i < Ids; i++) begin
      if (!busy_q[Ids-1-i]) id = IdBits'(Ids - 1 - i);
    end
  end
  assign room  = (PlaceBits + 1)'(Depth) - (push_q - pop_q);
  assign issue = left != '0 && busy_q != '1 && room > (PlaceBits + 1)'(length) &&
                 (!ar_q.valid || ar_ready_i) && !flush_i;

  // An answer.
  logic                 own, burst_ends, store;
  logic    [IdBits-1:0] answered;
  logic [PlaceBits-1:0] place;
  assign own        = r_i.valid && (r_i.id | IdMask) == LastId;
  assign answered   = r_i.id[IdBits-1:0];
  assign burst_ends = burst_left_q[answered] == '0;
  assign place      = place_q[answered];
  assign store      = own && !draining_q && !flush_i;

  // The next word to be given.
  logic                 pop;
  logic [PlaceBits-1:0] head;
  assign head = pop_q[PlaceBits-1:0];
  assign pop  = present_q[head] && (!word_valid_q || word_ready_i) && !flush_i;

  always_comb begin
    ar_d         = ar_q;
    address_d    = address;
    left_d       = left;
    busy_d       = busy_q;
    closing_d    = closing_q;
    place_d      = place_q;
    burst_left_d = burst_left_q;
    push_d       = push_q;
    pop_d        = pop_q;
    present_d    = present_q;
    inside_d     = inside_q;
    word_valid_d = word_valid_q;
    word_first_d = word_first_q;
    word_last_d  = word_last_q;
    word_error_d = word_error_q;

    if (ar_ready_i) ar_d.valid = 1'b0;
    if (issue) begin
      ar_d             = '{valid: 1'b1, id: AxiIdBits'(FirstId) | AxiIdBits'(id),
                           address: {address, OffsetBits'(0)}, length: 8'(length)};
      address_d        = address + LineBits'(length) + 1'b1;
      left_d           = left - 16'(length) - 1'b1;
      busy_d[id]       = 1'b1;
      closing_d[id]    = left_d == '0;
      place_d[id]      = push_q[PlaceBits-1:0];
      burst_left_d[id] = length;
      push_d           = push_q + (PlaceBits + 1)'(length) + 1'b1;
    end
    if (own) begin
      place_d[answered]      = place + 1'b1;
      burst_left_d[answered] = burst_left_q[answered] - 1'b1;
      if (burst_ends) busy_d[answered] = 1'b0;
    end
    if (store) present_d[place] = 1'b1;
    if (word_ready_i) word_valid_d = 1'b0;
    if (pop) begin
      pop_d           = pop_q + 1'b1;
      present_d[head] = 1'b0;
      word_valid_d    = 1'b1;
      word_first_d    = !inside_q;
      word_last_d     = last_q[head];
      word_error_d    = error_q[head] || (inside_q && word_error_q);
      inside_d        = !last_q[head];
    end
    if (flush_i) begin
      left_d       = '0;
      pop_d        = push_q;
      present_d    = '0;
      inside_d     = 1'b0;
      word_valid_d = 1'b0;
    end
    draining_d = (draining_q || flush_i) && busy_d != '0;
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      ar_q         <= '0;
      address_q    <= '0;
      left_q       <= '0;
      draining_q   <= '0;
      busy_q       <= '0;
      closing_q    <= '0;
      place_q      <= '0;
      burst_left_q <= '0;
      push_q       <= '0;
      pop_q        <= '0;
      present_q    <= '0;
      inside_q     <= '0;
      word_valid_q <= '0;
      word_first_q <= '0;
      word_last_q  <= '0;
      word_error_q <= '0;
      word_q       <= '0;
    end else begin
      ar_q         <= ar_d;
      address_q    <= address_d;
      left_q       <= left_d;
      draining_q   <= draining_d;
      busy_q       <= busy_d;
      closing_q    <= closing_d;
      place_q      <= place_d;
      burst_left_q <= burst_left_d;
      push_q       <= push_d;
      pop_q        <= pop_d;
      present_q    <= present_d;
      inside_q     <= inside_d;
      word_valid_q <= word_valid_d;
      word_first_q <= word_first_d;
      word_last_q  <= word_last_d;
      word_error_q <= word_error_d;
      word_q       <= word_d;
    end
  end

  always_ff @(posedge clk_i) begin
    if (store && rst_ni) begin
      last_q[place]  <= burst_ends && closing_q[answered];
      error_q[place] <= r_i.response[1];
    end
  end

  // Words in columns of eight bytes.
  logic [Columns-1:0][63:0] columns;
  assign columns = r_data_i;

  for (genvar c = 0; c < Columns; c++) begin : gen_column
    logic [63:0] data_q[Depth];
    always_ff @(posedge clk_i) begin
      if (store && rst_ni) data_q[place] <= columns[c];
    end
    assign word_d[c] = pop ? data_q[head] : word_q[c];
  end

  assign request_ready_o = left_q == '0 && !draining_q;
  assign ar_o            = ar_q;
  assign r_ready_o       = 1'b1;
  assign word_valid_o    = word_valid_q;
  assign word_o          = word_q;
  assign word_first_o    = word_first_q;
  assign word_last_o     = word_last_q;
  assign word_error_o    = word_error_q;
  assign idle_o          = left_q == '0 && busy_q == '0 && push_q == pop_q && !word_valid_q;

  `TANDEM_INVARIANT(INV_READER_1, !request_valid_i ||
                    (request_words_i != '0 && request_address_i[OffsetBits-1:0] == '0))
  `TANDEM_INVARIANT(INV_READER_2, !ar_q.valid || 9'(ar_q.address[11:6]) + 9'(ar_q.length) < 9'd64)
  `TANDEM_INVARIANT(INV_READER_3, !ar_q.valid || busy_q[ar_q.id[IdBits-1:0]])
  `TANDEM_INVARIANT(INV_READER_4, !r_i.valid || (r_i.id | IdMask) != LastId ||
                    (busy_q[r_i.id[IdBits-1:0]] && !(ar_q.valid && ar_q.id == r_i.id)))
  `TANDEM_INVARIANT(INV_READER_5, !r_i.valid || (r_i.id | IdMask) != LastId ||
                    r_i.last == (burst_left_q[r_i.id[IdBits-1:0]] == '0))
  `TANDEM_INVARIANT(INV_READER_6, !r_i.valid || (r_i.id | IdMask) != LastId || draining_q ||
                    !present_q[place_q[r_i.id[IdBits-1:0]]])
  `TANDEM_INVARIANT(INV_READER_7, push_q - pop_q <= (PlaceBits + 1)'(Depth))

endmodule : axi_reader
