// SPDX-License-Identifier: Apache-2.0
// Commands of the host: fetched from their ring, checked, handed to the units in order, their tokens kept, their completions
// written (docs/commands.md). A command is offered to its unit 3 cycles after its word came, if nothing is in its way; one
// per cycle at best.
`include "tandem_assert.svh"

module command_unit
  import tandem_pkg::*;
#(
  parameter int unsigned Rows,
  parameter int unsigned Segments,
  parameter int unsigned BankWords
) (
  input  logic                        clk_i,
  input  logic                        rst_ni,
  // The host's registers.
  input  logic                        enable_i,
  input  logic [AxiAddressBits-1:0]   command_base_i,
  input  logic [3:0]                  ring_size_log2_i,
  input  logic [AxiAddressBits-1:0]   completion_base_i,
  input  doorbell_t                   doorbell_i,
  input  logic [AxiAddressBits-1:0]   bounds_base_i,
  input  logic [AxiAddressBits-1:0]   bounds_limit_i,
  output logic [CommandIndexBits-1:0] consumer_o,             // commands dispatched or refused since reset
  output logic                        completion_o,           // one that was to be told of is written
  output core_error_t                 error_o,
  output logic                        idle_o,                 // no command anywhere
  // Commands from memory.
  output read_request_t               request_o,
  input  logic                        request_ready_i,
  input  read_word_t                  word_i,
  input  logic [AxiBytes-1:0][7:0]    data_i,
  output logic                        word_ready_o,           // always
  // Completions to memory.
  output write_request_t              write_request_o,
  input  logic                        write_request_ready_i,
  output logic                        write_valid_o,
  output logic [AxiBytes-1:0]         write_strobe_o,         // all
  output logic [AxiBytes-1:0][7:0]    write_data_o,
  input  logic                        write_ready_i,
  input  write_done_t                 write_done_i,
  // The units.
  output logic [3:0]                  work_valid_o,           // load, stream, append, vector
  output logic [CommandIndexBits-1:0] work_index_o,
  output logic [7:0][63:0]            work_o,
  input  logic [3:0]                  work_ready_i,
  output logic [ScoreboardTokens-1:0] pending_o,
  input  logic [ScoreboardTokens-1:0] holds_i,                // commands in queues still wait for them
  input  done_t [4:0]                 done_i,                 // load, stream, append, results, vector
  output logic [4:0]                  done_ready_o,
  output activity_t                   activity_o
);

  // Commands that are asked for before they are taken; not done; completions on their way.
  localparam int unsigned Ahead   = 4;
  localparam int unsigned Flights = 32;
  localparam int unsigned Awaited = 8;

  logic                  [3:0] work_valid_d, work_valid_q;
  logic [ScoreboardTokens-1:0] work_waits_d, work_waits_q;  // what the command that is offered waits for
  logic [CommandIndexBits-1:0] work_index_d, work_index_q;
  logic            [7:0][63:0] work_d, work_q;
  activity_t                   activity_d, activity_q;

  logic                        fetch_valid, fetch_waits, fetch_empty;
  logic                  [7:0] status;
  logic [CommandIndexBits-1:0] index;
  logic            [7:0][63:0] command;
  logic          [Flights-1:0] busy;
  logic                  [5:0] done_ready;
  logic [ScoreboardTokens-1:0] pending, claimed, released;
  logic                        written;  // all that is done
  logic                        take;
  done_t                       ended;

  logic unused_inputs;
  assign unused_inputs = ^{word_i.first, word_i.last, doorbell_i.valid};

  // ---- the next command ----
  command_head_t               head;
  command_destination_t        destination;
  logic                        nop, ends, tokens_free, work_free;
  logic                  [3:0] target;
  assign head        = command[0];
  assign destination = command[2];

  logic unused_fields;
  assign unused_fields = ^{head, destination};

  always_comb begin
    nop  = head.opcode == 8'(OpcodeNop);
    ends = nop || status != 8'(StatusDone);

    target = 4'b0010;
    if (head.opcode == 8'(OpcodeLoad)) target = 4'b0001;
    if (head.opcode == 8'(OpcodeAppend)) target = 4'b0100;
    if (head.opcode >= 8'(OpcodeEmbed)) target = 4'b1000;

    // What commands before it wait for is not given to it, in the queues or on the way there.
    tokens_free = (head.signal_tokens & (pending | holds_i | work_waits_q)) == '0;
    if (nop && (head.wait_tokens & pending) != '0) tokens_free = 1'b0;
    if (status != 8'(StatusDone)) tokens_free = 1'b1;

    work_free = work_valid_q == '0 || (work_valid_q & work_ready_i) != '0;
    take      = fetch_valid && !busy[index[$clog2(Flights)-1:0]] && tokens_free &&
                (ends ? done_ready[5] : work_free);

    work_valid_d = work_valid_q & ~work_ready_i;
    work_waits_d = work_valid_d == '0 ? '0 : work_waits_q;
    work_index_d = work_index_q;
    work_d       = work_q;
    claimed      = '0;
    if (take && !ends) begin
      work_valid_d = target;
      work_waits_d = head.wait_tokens | destination.wait_array;
      work_index_d = index;
      work_d       = command;
      claimed      = head.signal_tokens;
    end

    // What cannot be read has no flags: it is told of.
    ended        = '0;
    ended.valid  = take && ends;
    ended.status = status;
    ended.notify = head.flags.notify || status == 8'(StatusFetchError);
    ended.index  = index;

    released = '0;
    for (int unsigned c = 0; c < 5; c++) begin
      if (done_i[c].valid && done_ready[c]) released |= done_i[c].tokens;
    end

    activity_d.busy    = !fetch_empty || work_valid_q != '0;
    activity_d.starved = fetch_waits && !fetch_valid && work_valid_q == '0;
    activity_d.blocked = (fetch_valid && !take) || (work_valid_q & ~work_ready_i) != '0;
    activity_d.index   = index;
  end

  command_fetch #(
    .Rows     (Rows),
    .Segments (Segments),
    .BankWords(BankWords),
    .Ahead    (Ahead)
  ) u_fetch (
    .clk_i           (clk_i),
    .rst_ni          (rst_ni),
    .enable_i        (enable_i),
    .command_base_i  (command_base_i),
    .ring_size_log2_i(ring_size_log2_i),
    .producer_i      (doorbell_i.producer),
    .bounds_base_i   (bounds_base_i),
    .bounds_limit_i  (bounds_limit_i),
    .request_o       (request_o),
    .request_ready_i (request_ready_i),
    .word_valid_i    (word_i.valid),
    .word_error_i    (word_i.error),
    .data_i          (data_i),
    .valid_o         (fetch_valid),
    .status_o        (status),
    .index_o         (index),
    .command_o       (command),
    .take_i          (take),
    .waits_o         (fetch_waits),
    .empty_o         (fetch_empty)
  );

  scoreboard u_scoreboard (
    .clk_i    (clk_i),
    .rst_ni   (rst_ni),
    .take_i   (claimed),
    .release_i(released),
    .pending_o(pending)
  );

  completer #(
    .Channels(6),
    .Flights (Flights),
    .Awaited (Awaited)
  ) u_completer (
    .clk_i                (clk_i),
    .rst_ni               (rst_ni),
    .completion_base_i    (completion_base_i),
    .ring_size_log2_i     (ring_size_log2_i),
    .dispatch_i           (take),
    .dispatch_flight_i    (index[$clog2(Flights)-1:0]),
    .dispatch_opcode_i    (status == 8'(StatusFetchError) ? 8'd0 : head.opcode),
    .busy_o               (busy),
    .done_i               ({ended, done_i}),
    .done_ready_o         (done_ready),
    .write_request_o      (write_request_o),
    .write_request_ready_i(write_request_ready_i),
    .write_valid_o        (write_valid_o),
    .write_data_o         (write_data_o),
    .write_ready_i        (write_ready_i),
    .write_done_i         (write_done_i),
    .completion_o         (completion_o),
    .error_o              (error_o),
    .idle_o               (written)
  );

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      work_valid_q <= '0;
      work_waits_q <= '0;
      work_index_q <= '0;
      work_q       <= '0;
      activity_q   <= '0;
    end else begin
      work_valid_q <= work_valid_d;
      work_waits_q <= work_waits_d;
      work_index_q <= work_index_d;
      work_q       <= work_d;
      activity_q   <= activity_d;
    end
  end

  assign consumer_o     = index;
  assign idle_o         = fetch_empty && written;
  assign word_ready_o   = 1'b1;
  assign write_strobe_o = '1;
  assign work_valid_o   = work_valid_q;
  assign work_index_o   = work_index_q;
  assign work_o         = work_q;
  assign pending_o      = pending;
  assign done_ready_o   = done_ready[4:0];
  assign activity_o     = activity_q;

  // What is offered is in flight.
  `TANDEM_INVARIANT(INV_COMMAND_1, work_valid_q == '0 || busy[work_index_q[$clog2(Flights)-1:0]])
  `TANDEM_INVARIANT(INV_COMMAND_2, $onehot0(work_valid_q))

endmodule : command_unit
