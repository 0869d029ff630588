// SPDX-License-Identifier: Apache-2.0
// Commands that are dispatched and not done, and the completions of those that are: one record at a time becomes a word
// of memory, some of them may be on their way. A completion is told of when its word is written.
`include "tandem_assert.svh"

module completer
  import tandem_pkg::*;
#(
  parameter int unsigned Channels,  // who says that a command is done
  parameter int unsigned Flights,   // commands that may be dispatched and not done: a power of two
  parameter int unsigned Awaited,   // completions that may be on their way: a power of two
  localparam int unsigned FlightBits = $clog2(Flights),
  localparam int unsigned AwaitBits  = $clog2(Awaited)
) (
  input  logic                        clk_i,
  input  logic                        rst_ni,
  input  logic [AxiAddressBits-1:0]   completion_base_i,
  input  logic [3:0]                  ring_size_log2_i,
  input  logic                        dispatch_i,         // of a command whose place is not busy
  input  logic [FlightBits-1:0]       dispatch_flight_i,  // its place: the low bits of its index
  input  logic [7:0]                  dispatch_opcode_i,
  output logic [Flights-1:0]          busy_o,             // by place: its command is not done
  input  done_t [Channels-1:0]        done_i,
  output logic [Channels-1:0]         done_ready_o,
  output write_request_t              write_request_o,
  input  logic                        write_request_ready_i,
  output logic                        write_valid_o,
  output logic [AxiBytes-1:0][7:0]    write_data_o,
  input  logic                        write_ready_i,
  input  write_done_t                 write_done_i,
  output logic                        completion_o,       // one that was to be told of is written
  output core_error_t                 error_o,
  output logic                        idle_o              // all is done and written
);

  typedef struct packed {
    logic                        valid;
    logic                  [7:0] status;
    logic                        notify;
    logic [CommandIndexBits-1:0] index;
  } ended_t;

  ended_t      [Channels-1:0] done_d, done_q;
  logic         [Flights-1:0] busy_d, busy_q;
  logic                [63:0] cycle_d, cycle_q;
  write_request_t             request_d, request_q;
  logic                       write_valid_d, write_valid_q;
  logic           [2:0][63:0] record_d, record_q;  // what is not 0 of the word
  logic         [AwaitBits:0] push_d, push_q;      // completions that were sent
  logic         [AwaitBits:0] pop_d, pop_q;        // of these written
  logic                       completion_d, completion_q;
  core_error_t                error_d, error_q;
  logic                 [7:0] opcode_q[Flights];
  logic                [63:0] dispatched_q[Flights];
  logic                       notify_q[Awaited];
  logic [CommandIndexBits-1:0] index_q[Awaited];

  // The next that is done: the lowest channel's. A completion that was refused is told of first.
  ended_t                next;
  logic [Channels-1:0]   chosen;
  logic                  room, pick, refused;
  logic [FlightBits-1:0] flight;
  always_comb begin
    next   = '0;
    chosen = '0;
    for (int unsigned c = 0; c < Channels; c++) begin
      if (done_q[Channels-1-c].valid) begin
        next   = done_q[Channels-1-c];
        chosen = Channels'(1) << (Channels - 1 - c);
      end
    end
  end
  assign refused = write_done_i.valid && write_done_i.error;
  assign room    = (!request_q.valid || write_request_ready_i) && (!write_valid_q || write_ready_i) &&
                   push_q - pop_q != (AwaitBits + 1)'(Awaited);
  assign pick    = next.valid && room && !refused;
  assign flight  = next.index[FlightBits-1:0];

  logic [CommandIndexBits-1:0] mask;
  assign mask = CommandIndexBits'(((CommandIndexBits + 1)'(1) << ring_size_log2_i) - 1'b1);

  logic [Channels-1:0][ScoreboardTokens-1:0] unused_tokens;

  logic [AwaitBits-1:0] oldest;
  assign oldest = pop_q[AwaitBits-1:0];

  always_comb begin
    done_d        = done_q;
    busy_d        = busy_q;
    cycle_d       = cycle_q + 64'd1;
    request_d     = request_q;
    write_valid_d = write_valid_q;
    record_d      = record_q;
    push_d        = push_q;
    pop_d         = pop_q;
    completion_d  = 1'b0;
    error_d       = '0;

    for (int unsigned c = 0; c < Channels; c++) begin
      if (!done_q[c].valid && done_i[c].valid) begin
        done_d[c] = '{1'b1, done_i[c].status, done_i[c].notify, done_i[c].index};
      end
      unused_tokens[c] = done_i[c].tokens;
    end
    if (dispatch_i) busy_d[dispatch_flight_i] = 1'b1;
    if (write_request_ready_i) request_d.valid = 1'b0;
    if (write_ready_i) write_valid_d = 1'b0;
    if (pick) begin
      for (int unsigned c = 0; c < Channels; c++) begin
        if (chosen[c]) done_d[c] = '0;
      end
      busy_d[flight]    = 1'b0;
      request_d.valid   = 1'b1;
      request_d.address = completion_base_i +
                          AxiAddressBits'({next.index & mask, {$clog2(AxiBytes){1'b0}}});
      request_d.words   = 8'd1;
      write_valid_d     = 1'b1;
      record_d          = {cycle_q, dispatched_q[flight], 32'd0, opcode_q[flight], next.status, next.index};
      push_d            = push_q + 1'b1;
      if (next.status != 8'(StatusDone)) begin
        error_d = '{valid: 1'b1, code: next.status, index: next.index};
      end
    end
    if (write_done_i.valid) begin
      pop_d        = pop_q + 1'b1;
      completion_d = notify_q[oldest] && !write_done_i.error;
    end
    if (refused) error_d = '{valid: 1'b1, code: 8'(StatusCompletionError), index: index_q[oldest]};
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      done_q        <= '0;
      busy_q        <= '0;
      cycle_q       <= '0;
      request_q     <= '0;
      write_valid_q <= '0;
      record_q      <= '0;
      push_q        <= '0;
      pop_q         <= '0;
      completion_q  <= '0;
      error_q       <= '0;
    end else begin
      done_q        <= done_d;
      busy_q        <= busy_d;
      cycle_q       <= cycle_d;
      request_q     <= request_d;
      write_valid_q <= write_valid_d;
      record_q      <= record_d;
      push_q        <= push_d;
      pop_q         <= pop_d;
      completion_q  <= completion_d;
      error_q       <= error_d;
    end
  end

  always_ff @(posedge clk_i) begin
    if (dispatch_i && rst_ni) begin
      opcode_q[dispatch_flight_i]     <= dispatch_opcode_i;
      dispatched_q[dispatch_flight_i] <= cycle_q;
    end
    if (pick && rst_ni) begin
      notify_q[push_q[AwaitBits-1:0]] <= next.notify;
      index_q[push_q[AwaitBits-1:0]]  <= next.index;
    end
  end

  for (genvar c = 0; c < Channels; c++) begin : gen_channel
    assign done_ready_o[c] = !done_q[c].valid;
  end
  assign busy_o          = busy_q;
  assign write_request_o = request_q;
  assign write_valid_o   = write_valid_q;
  assign write_data_o    = (8 * AxiBytes)'(record_q);
  assign completion_o    = completion_q;
  assign error_o         = error_q;
  assign idle_o          = busy_q == '0 && push_q == pop_q;

  // What is done was dispatched, and not done before.
  `TANDEM_INVARIANT(INV_COMPLETER_1, !next.valid || busy_q[flight])
  // Everything that is sent is on its way.
  `TANDEM_INVARIANT(INV_COMPLETER_2, !(request_q.valid || write_valid_q) || push_q != pop_q)
  `TANDEM_INVARIANT(INV_COMPLETER_3, push_q - pop_q <= (AwaitBits + 1)'(Awaited))

endmodule : completer
