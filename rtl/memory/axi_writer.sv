// SPDX-License-Identifier: Apache-2.0
// Writes memory over AXI: takes requests of four clients in turn, splits them into bursts, gives their words in the order
// of the bursts, one per cycle, and says when all bursts of a request are answered. The first burst of a request is on AW,
// its first word on W, in the cycle after both are there. All bursts have ID 0, so their answers come in order. No burst
// crosses a multiple of `BurstWords` words.
`include "tandem_assert.svh"

module axi_writer
  import tandem_pkg::*;
#(
  parameter int unsigned Depth,       // bursts that may be on their way: a power of two
  parameter int unsigned BurstWords,  // words of the longest burst: a power of two, 2 to 64 (4 KB)
  localparam int unsigned PlaceBits  = $clog2(Depth),
  localparam int unsigned BurstBits  = $clog2(BurstWords),
  localparam int unsigned OffsetBits = $clog2(AxiBytes),
  localparam int unsigned Clients    = 4
) (
  input  logic                                            clk_i,
  input  logic                                            rst_ni,
  input  logic                                            flush_i,      // drops all that was requested
  input  write_request_t [Clients-1:0]                    request_i,
  output logic           [Clients-1:0]                    request_taken_o,
  input  logic           [Clients-1:0]                    word_valid_i,
  input  logic           [Clients-1:0]     [AxiBytes-1:0] strobe_i,
  input  logic           [Clients-1:0][AxiBytes-1:0][7:0] data_i,
  output logic           [Clients-1:0]                    word_taken_o,
  output write_done_t    [Clients-1:0]                    done_o,
  output axi_address_t                                    aw_o,
  input  logic                                            aw_ready_i,
  output axi_write_t                                      w_o,
  output logic                             [AxiBytes-1:0] w_strobe_o,
  output logic                        [AxiBytes-1:0][7:0] w_data_o,
  input  logic                                            w_ready_i,
  input  axi_response_t                                   b_i,
  output logic                                            b_ready_o,
  output logic                                            idle_o        // nothing is on its way
);

  axi_address_t               aw_d, aw_q;
  logic        [LineBits-1:0] address_d, address_q;    // of the next burst
  logic                 [7:0] left_d, left_q;          // words of the request that no burst has yet
  logic                 [1:0] client_d, client_q;      // whose request it is or was
  logic         [PlaceBits:0] push_d, push_q;          // bursts that were given a place
  logic         [PlaceBits:0] feed_d, feed_q;          // bursts whose words were all given
  logic         [PlaceBits:0] answer_d, answer_q;      // bursts that were answered
  logic         [PlaceBits:0] dropped_d, dropped_q;    // the oldest bursts, flushed before their answer
  logic       [BurstBits-1:0] sent_d, sent_q;          // words of a burst that were given
  logic                       error_d, error_q;        // of the request: a burst before was refused
  write_done_t  [Clients-1:0] done_d, done_q;
  axi_write_t                 w_d, w_q;
  logic        [AxiBytes-1:0] w_strobe_d, w_strobe_q;
  logic   [AxiBytes-1:0][7:0] w_data_d, w_data_q;
  logic                 [1:0] owner_q  [Depth];        // by place: its client
  logic       [BurstBits-1:0] length_q [Depth];        // by place: words less one
  logic                       closing_q[Depth];        // by place: the burst is the last of its request

  // What is to be written: the rest of a request, or the one whose turn it is.
  logic  [Clients-1:0] wants;
  logic                begun, pending;
  logic          [1:0] client;
  logic [LineBits-1:0] address;
  logic          [7:0] left;
  always_comb begin
    for (int unsigned c = 0; c < Clients; c++) wants[c] = request_i[c].valid;
  end
  assign begun  = left_q != '0;
  assign pending = begun || wants != '0;
  assign client  = begun ? client_q : next_turn(wants, client_q);
  assign address = begun ? address_q : request_i[client].address[AxiAddressBits-1:OffsetBits];
  assign left    = begun ? left_q : request_i[client].words;

  // The next burst: up to the next multiple of BurstWords.
  logic [BurstBits-1:0] length;  // words less one
  logic                 full, issue, closing;
  always_comb begin
    length = ~address[BurstBits-1:0];
    if (left <= 8'(length)) length = BurstBits'(left) - 1'b1;
  end
  assign full    = push_q - answer_q == (PlaceBits + 1)'(Depth);
  assign issue   = pending && !full && (!aw_q.valid || aw_ready_i) && !flush_i;
  assign closing = left == 8'(length) + 8'd1;

  // The next word: of the oldest burst that wants one, be it the one that is sent in this cycle.
  logic                 listed, ignored, feed, ends;
  logic           [1:0] feeder;
  logic [BurstBits-1:0] feed_length;
  assign listed      = feed_q != push_q;
  assign feeder      = listed ? owner_q[feed_q[PlaceBits-1:0]] : client;
  assign feed_length = listed ? length_q[feed_q[PlaceBits-1:0]] : length;
  assign ignored     = flush_i || feed_q - answer_q < dropped_q;
  assign feed        = (listed || issue) && (ignored || word_valid_i[feeder]) && (!w_q.valid || w_ready_i);
  assign ends        = sent_q == feed_length;

  // An answer.
  logic       refused, answers;
  logic [1:0] answered;
  assign answers  = b_i.valid && dropped_q == '0 && !flush_i;
  assign refused  = b_i.response[1] || error_q;
  assign answered = owner_q[answer_q[PlaceBits-1:0]];

  always_comb begin
    aw_d       = aw_q;
    address_d  = address_q;
    left_d     = left_q;
    client_d   = client_q;
    push_d     = push_q;
    feed_d     = feed_q;
    answer_d   = answer_q;
    dropped_d  = dropped_q;
    sent_d     = sent_q;
    error_d    = error_q;
    done_d     = '0;
    w_d        = w_q;
    w_strobe_d = w_strobe_q;
    w_data_d   = w_data_q;

    if (aw_ready_i) aw_d.valid = 1'b0;
    if (issue) begin
      aw_d      = '{valid: 1'b1, id: '0, address: {address, OffsetBits'(0)}, length: 8'(length)};
      address_d = address + LineBits'(length) + 1'b1;
      left_d    = left - 8'(length) - 8'd1;
      client_d  = client;
      push_d    = push_q + 1'b1;
    end
    if (w_ready_i) w_d.valid = 1'b0;
    if (feed) begin
      w_d        = '{valid: 1'b1, last: ends};
      w_strobe_d = ignored ? '0 : strobe_i[feeder];
      w_data_d   = ignored ? '0 : data_i[feeder];
      sent_d     = ends ? '0 : sent_q + 1'b1;
      feed_d     = feed_q + (PlaceBits + 1)'(ends);
    end
    if (b_i.valid) begin
      answer_d = answer_q + 1'b1;
      if (dropped_q != '0) dropped_d = dropped_q - 1'b1;
    end
    if (answers) begin
      error_d = refused;
      if (closing_q[answer_q[PlaceBits-1:0]]) begin
        done_d[answered] = '{valid: 1'b1, error: refused};
        error_d          = 1'b0;
      end
    end
    if (flush_i) begin
      left_d    = '0;
      error_d   = 1'b0;
      dropped_d = push_q - answer_d;
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      aw_q       <= '0;
      address_q  <= '0;
      left_q     <= '0;
      client_q   <= '0;
      push_q     <= '0;
      feed_q     <= '0;
      answer_q   <= '0;
      dropped_q  <= '0;
      sent_q     <= '0;
      error_q    <= '0;
      done_q     <= '0;
      w_q        <= '0;
      w_strobe_q <= '0;
      w_data_q   <= '0;
    end else begin
      aw_q       <= aw_d;
      address_q  <= address_d;
      left_q     <= left_d;
      client_q   <= client_d;
      push_q     <= push_d;
      feed_q     <= feed_d;
      answer_q   <= answer_d;
      dropped_q  <= dropped_d;
      sent_q     <= sent_d;
      error_q    <= error_d;
      done_q     <= done_d;
      w_q        <= w_d;
      w_strobe_q <= w_strobe_d;
      w_data_q   <= w_data_d;
    end
  end

  always_ff @(posedge clk_i) begin
    if (issue && rst_ni) begin
      owner_q[push_q[PlaceBits-1:0]]   <= client;
      length_q[push_q[PlaceBits-1:0]]  <= length;
      closing_q[push_q[PlaceBits-1:0]] <= closing;
    end
  end

  always_comb begin
    request_taken_o         = '0;
    request_taken_o[client] = issue && !begun;
    word_taken_o            = '0;
    word_taken_o[feeder]    = feed && !ignored;
  end

  assign done_o     = done_q;
  assign aw_o       = aw_q;
  assign w_o        = w_q;
  assign w_strobe_o = w_strobe_q;
  assign w_data_o   = w_data_q;
  assign b_ready_o  = 1'b1;
  assign idle_o     = !begun && push_q == answer_q;

  `TANDEM_INVARIANT(INV_WRITER_1, !aw_q.valid || 9'(aw_q.address[11:6]) + 9'(aw_q.length) < 9'd64)
  `TANDEM_INVARIANT(INV_WRITER_2, !b_i.valid || (b_i.id == '0 && answer_q != feed_q &&
                    !(feed_q - answer_q == (PlaceBits + 1)'(1) && w_q.valid && w_q.last)))
  `TANDEM_INVARIANT(INV_WRITER_3, push_q - answer_q <= (PlaceBits + 1)'(Depth))
  `TANDEM_INVARIANT(INV_WRITER_4, feed_q - answer_q <= push_q - answer_q)
  `TANDEM_INVARIANT(INV_WRITER_5, dropped_q <= push_q - answer_q)

endmodule : axi_writer
