// SPDX-License-Identifier: Apache-2.0
// Hands the array to one command after the other: takes what the stream unit has begun, waits for its tokens, books
// the results, then lets the GEMV sequencer or the attention engine go. Heads overlap with heads and products with
// products; from one to the other the array runs empty first.
`include "tandem_assert.svh"

module array_unit
  import tandem_pkg::*;
#(
  parameter int unsigned Rows,
  parameter int unsigned Segments,
  // Cycles from the last beat that a GEMV asks for to its last result, with some to spare.
  localparam int unsigned Drain = 48 + Rows + 2 * FloatLatency * Segments
) (
  input  logic                        clk_i,
  input  logic                        rst_ni,
  // ---- the stream unit ----
  input  logic                        taken_i,       // it takes a command that will come here
  input  logic [ScoreboardTokens-1:0] taken_wait_i,  // what that waits for
  input  logic                        refused_i,     // it will not come
  output logic                        transit_o,     // it has not come yet
  input  logic                        work_valid_i,
  input  logic [CommandIndexBits-1:0] work_index_i,
  input  logic            [7:0][63:0] work_i,
  output logic                        work_ready_o,
  input  head_start_t                 fault_i,       // a word of this context could not be read
  // ---- the scoreboard ----
  input  logic [ScoreboardTokens-1:0] pending_i,
  output logic [ScoreboardTokens-1:0] holds_o,
  output logic [ScoreboardTokens-1:0] waiting_o,
  // ---- the GEMV sequencer ----
  output gemv_t                       gemv_o,
  input  logic                        gemv_ready_i,
  input  logic                        gemv_end_i,
  input  logic                        gemv_fault_i,
  input  logic                        gemv_busy_i,
  input  logic                        gemv_starved_i,
  input  logic                        gemv_blocked_i,
  input  logic                        stream_starved_i,
  output logic                        owner_o     ,
  // ---- the attention engine ----
  output operands_t                   operands_o,
  input  attended_t                   attended_i,
  input  logic                        poisoned_i,
  input  head_end_t                   head_done_i,
  // ---- results ----
  output result_job_t                 job_o,
  output done_t                       job_done_o,
  input  logic                        job_ready_i,
  input  logic                  [1:0] job_slot_i,
  output job_fault_t                  job_fault_o,
  output logic                  [3:0] reserve_o,     // groups, for a head
  input  logic                  [5:0] free_i,
  output activity_t                   activity_o
);

  localparam int unsigned DrainBits = 7;

  // ---- on the way from the stream unit: its tokens are not to be taken by others ----
  logic                        transit_d, transit_q;
  logic [ScoreboardTokens-1:0] transit_wait_d, transit_wait_q, queue_holds;
  always_comb begin
    transit_d      = transit_q;
    transit_wait_d = transit_wait_q;
    if ((work_valid_i && work_ready_o) || refused_i) begin
      transit_d      = 1'b0;
      transit_wait_d = '0;
    end
    if (taken_i) begin
      transit_d      = 1'b1;
      transit_wait_d = taken_wait_i;
    end
  end

  logic                        front_valid, front_ready;
  logic [CommandIndexBits-1:0] front_index;
  logic            [7:0][63:0] front;
  command_head_t               head;
  command_destination_t        destination;
  command_shape_t              shape;
  assign head        = front[0];
  assign destination = front[2];
  assign shape       = front[3];

  work_queue #(
    .Depth(4),
    .Stage(1)
  ) u_queue (
    .clk_i,
    .rst_ni,
    .work_valid_i,
    .work_index_i,
    .work_i,
    .work_ready_o,
    .pending_i,
    .front_valid_o(front_valid),
    .front_index_o(front_index),
    .front_o      (front),
    .front_ready_i(front_ready),
    .holds_o      (queue_holds),
    .waiting_o
  );

  logic unused_front;
  assign unused_front = ^{front[1], front[7:4], head, destination, shape};

  // ---- the command that is handed out: first its results are booked, then it starts ----
  gemv_t         gemv_d, gemv_q;     // valid: it is one
  logic          booked_d, booked_q;
  logic    [1:0] slot_d, slot_q;
  logic    [6:0] chunk_d, chunk_q;
  result_job_t   job_d, job_q;       // valid: there is a command
  done_t         done_d, done_q;

  // ---- who has the array ----
  logic          [DrainBits-1:0] drain_d, drain_q;      // cycles until it is empty of products
  logic                    [2:0] heads_d, heads_q;      // on the array
  logic                    [1:0] context_d, context_q;  // of the next head
  logic     [Contexts-1:0]       faulty_d, faulty_q;    // contexts of which a word is missing or wrong
  logic     [Contexts-1:0] [1:0] head_slot_d, head_slot_q;
  logic               [1:0][1:0] gemv_slot_d, gemv_slot_q;  // of the products on the array, oldest first
  logic                    [1:0] gemvs_d, gemvs_q;
  operands_t                     operands_d, operands_q;
  logic                    [3:0] reserve_d, reserve_q;
  job_fault_t                    job_fault_d, job_fault_q;
  activity_t                     activity_d, activity_q;
  logic [3:0][CommandIndexBits-1:0] index_d, index_q;   // of the commands, by place of their job

  logic       start_gemv, start_head, offer_gemv;
  logic [3:0] groups;
  logic [1:0] oldest;
  logic [6:0] chunks_last;
  always_comb begin
    groups      = 4'(job_q.features >> $clog2(GroupFloats));
    offer_gemv  = job_q.valid && booked_q && gemv_q.valid && heads_q == '0 && gemvs_q != 2'd2;
    start_gemv  = offer_gemv && gemv_ready_i;
    start_head  = job_q.valid && booked_q && !gemv_q.valid && drain_q == '0 && !gemv_busy_i
                  && heads_q != 3'(Contexts) && free_i >= 6'(groups);
    front_ready = !job_q.valid;
    // Features of a chunk: two blocks of 32 in each segment, MXINT8 one.
    chunks_last = head.flags.int8
        ? 7'((shape.length - 32'd1) >> ($clog2(Segments * SegmentLanes)))
        : 7'((shape.length - 32'd1) >> ($clog2(Segments * SegmentLanes) + 1));

    gemv_d   = gemv_q;
    booked_d = booked_q;
    slot_d   = slot_q;
    chunk_d  = chunk_q;
    job_d    = job_q;
    done_d   = done_q;
    if (front_valid && front_ready) begin
      gemv_d.valid       = 32'(head.opcode) == OpcodeGemv;
      gemv_d.int8        = head.flags.int8;
      gemv_d.features    = FeatureBits'(shape.count);
      gemv_d.chunks_last = chunks_last;
      gemv_d.operand     = 7'(head.operand);
      chunk_d            = 7'(head.operand);
      job_d.valid        = 1'b1;
      job_d.rows         = 4'(head.rows);
      job_d.features     = gemv_d.valid ? FeatureBits'(shape.count)
                                        : (head.flags.wide ? FeatureBits'(128) : FeatureBits'(64));
      job_d.line         = destination.address[AxiAddressBits-1:AxiAddressBits-LineBits];
      done_d.valid       = 1'b1;
      done_d.status      = '0;
      done_d.notify      = head.flags.notify;
      done_d.tokens      = head.signal_tokens;
      done_d.index       = front_index;
      booked_d           = 1'b0;
    end
    index_d = index_q;
    if (job_o.valid && job_ready_i) begin
      booked_d            = 1'b1;
      slot_d              = job_slot_i;
      index_d[job_slot_i] = done_q.index;
    end
    if (start_gemv || start_head) begin
      job_d    = '0;
      gemv_d   = '0;
      booked_d = 1'b0;
    end

    // ---- products ----
    drain_d     = drain_q == '0 ? '0 : drain_q - 1'b1;
    if (start_gemv || gemv_busy_i) drain_d = DrainBits'(Drain);
    gemv_slot_d = gemv_slot_q;
    gemvs_d     = gemvs_q;
    if (gemv_end_i) begin
      gemv_slot_d[0] = gemv_slot_q[1];
      gemvs_d        = gemvs_q - 1'b1;
    end
    if (start_gemv) begin
      gemv_slot_d[gemvs_d[0]] = slot_q;
      gemvs_d                 = gemvs_d + 1'b1;
    end

    // ---- heads ----
    operands_d  = '0;
    reserve_d   = '0;
    heads_d     = heads_q - 3'(head_done_i.valid);
    context_d   = context_q;
    head_slot_d = head_slot_q;
    faulty_d    = faulty_q;
    if (start_head) begin
      operands_d.valid       = 1'b1;
      operands_d.head        = context_q;
      operands_d.chunk       = chunk_q;
      reserve_d              = groups;
      heads_d                = heads_d + 1'b1;
      context_d              = context_q + 1'b1;
      head_slot_d[context_q] = slot_q;
    end

    // ---- what could not be read: a head's is told at its end ----
    job_fault_d.valid = gemv_fault_i;
    job_fault_d.job   = gemv_slot_q[0];
    if (head_done_i.valid) begin
      job_fault_d.valid           = faulty_q[head_done_i.head];
      job_fault_d.job             = head_slot_q[head_done_i.head];
      faulty_d[head_done_i.head] = 1'b0;
    end
    if (fault_i.valid) faulty_d[fault_i.head] = 1'b1;
    if (attended_i.valid && poisoned_i) faulty_d[attended_i.head] = 1'b1;

    activity_d         = '0;
    activity_d.busy    = job_q.valid || gemv_busy_i || heads_q != '0;
    activity_d.starved = gemv_busy_i ? gemv_starved_i : heads_q != '0 && stream_starved_i;
    activity_d.blocked = gemv_busy_i ? gemv_blocked_i : job_q.valid && heads_q == '0;
    // The oldest on the array, else the one that waits for it.
    oldest             = context_q - 2'(heads_q);
    activity_d.index   = done_q.index;
    if (gemvs_q != '0) activity_d.index = index_q[gemv_slot_q[0]];
    else if (heads_q != '0) activity_d.index = index_q[head_slot_q[oldest]];
  end

  logic unused_inputs;
  assign unused_inputs = ^{attended_i, head_done_i};

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      transit_q      <= '0;
      transit_wait_q <= '0;
      gemv_q         <= '0;
      booked_q       <= '0;
      slot_q         <= '0;
      chunk_q        <= '0;
      job_q          <= '0;
      done_q         <= '0;
      drain_q        <= '0;
      heads_q        <= '0;
      context_q      <= '0;
      faulty_q       <= '0;
      head_slot_q    <= '0;
      gemv_slot_q    <= '0;
      gemvs_q        <= '0;
      operands_q     <= '0;
      reserve_q      <= '0;
      job_fault_q    <= '0;
      activity_q     <= '0;
      index_q        <= '0;
    end else begin
      transit_q      <= transit_d;
      transit_wait_q <= transit_wait_d;
      gemv_q         <= gemv_d;
      booked_q       <= booked_d;
      slot_q         <= slot_d;
      chunk_q        <= chunk_d;
      job_q          <= job_d;
      done_q         <= done_d;
      drain_q        <= drain_d;
      heads_q        <= heads_d;
      context_q      <= context_d;
      faulty_q       <= faulty_d;
      head_slot_q    <= head_slot_d;
      gemv_slot_q    <= gemv_slot_d;
      gemvs_q        <= gemvs_d;
      operands_q     <= operands_d;
      reserve_q      <= reserve_d;
      job_fault_q    <= job_fault_d;
      activity_q     <= activity_d;
      index_q        <= index_d;
    end
  end

  always_comb begin
    transit_o    = transit_q;
    holds_o      = queue_holds | transit_wait_q;
    gemv_o       = gemv_q;
    gemv_o.valid = offer_gemv;
    owner_o      = drain_q != '0;
    operands_o   = operands_q;
    job_o        = job_q;
    job_o.valid  = job_q.valid && !booked_q;
    job_done_o   = done_q;
    job_fault_o  = job_fault_q;
    reserve_o    = reserve_q;
    activity_o   = activity_q;
  end

  `TANDEM_INVARIANT(INV_ARRAY_UNIT_1, heads_q == '0 || drain_q == '0)

endmodule : array_unit
