// SPDX-License-Identifier: Apache-2.0
// Collects the results of jobs, of GEMV and of attention, and writes them to memory as binary32, in the order of the
// jobs: for every GroupFloats features a word per row in use. GEMV's are rounded once on the way. The room is a
// ring of groups; who feeds the array reserves it before. A group is requested 2 cycles after its last result is
// stored, its words follow the request's grant, one per cycle.
`include "tandem_assert.svh"

module result_buffer
  import tandem_pkg::*;
#(
  parameter int unsigned Rows,
  localparam int unsigned Jobs      = 4,
  localparam int unsigned JobBits   = $clog2(Jobs),
  localparam int unsigned LaneBits  = $clog2(GroupFloats),
  localparam int unsigned GroupBits = $clog2(ResultGroups),
  localparam int unsigned CountBits = FeatureBits - LaneBits,  // of the groups of a job
  localparam int unsigned RowBits   = $clog2(MaxRows)
) (
  input  logic                                  clk_i,
  input  logic                                  rst_ni,
  input  result_job_t                           job_i,
  input  done_t                                 job_done_i,        // what is known of done_o
  output logic                                  job_ready_o,
  output logic           [JobBits-1:0]          job_slot_o,        // of the job taken now, for fault_i
  input  job_fault_t                            fault_i,
  input  logic           [3:0]                  reserve_i,         // groups
  output logic           [GroupBits:0]          free_o,            // groups
  input  result_t        [Rows-1:0]             result_i,          // GEMV: row r is r cycles late
  input  logic                                  attended_valid_i,
  input  logic           [Rows-1:0][31:0]       values_i,          // attention: of all rows
  output write_request_t                        write_request_o,
  input  logic                                  write_request_ready_i,
  output logic                                  write_valid_o,
  output logic           [AxiBytes-1:0]         write_strobe_o,
  output logic           [AxiBytes-1:0][7:0]    write_data_o,
  input  logic                                  write_ready_i,
  input  write_done_t                           write_done_i,
  output done_t                                 done_o,
  input  logic                                  done_ready_i,
  output activity_t                             activity_o
);

  typedef struct packed {
    logic             [3:0] rows;
    logic [FeatureBits-1:0] last;  // feature
    logic    [LineBits-1:0] line;  // of its next group
  } job_t;

  typedef struct packed {
    logic                        notify;
    logic [ScoreboardTokens-1:0] tokens;
    logic [CommandIndexBits-1:0] index;
  } command_end_t;

  job_t         [Jobs-1:0]        job_d, job_q;
  command_end_t [Jobs-1:0]        end_d, end_q;
  logic         [Jobs-1:0]        fault_d, fault_q;        // by job: could not be read
  logic         [Jobs-1:0]        refused_d, refused_q;    // by job: could not be written
  logic         [Jobs-1:0]        finished_d, finished_q;  // by job: all its words are written
  // Which job: the next one to be taken, those whose results come, are sent, are answered, and the oldest.
  logic         [JobBits:0]       push_d, push_q, fill_d, fill_q, send_d, send_q;
  logic         [JobBits:0]       answer_d, answer_q, pop_d, pop_q;
  logic         [FeatureBits-1:0] feature_d, feature_q;        // of the job whose results come
  logic         [GroupBits-1:0]   fill_group_d, fill_group_q;  // where they go
  logic         [GroupBits:0]     complete_d, complete_q;      // groups to be sent
  logic         [GroupBits:0]     used_d, used_q;              // groups reserved or to be sent
  logic         [GroupBits-1:0]   send_group_d, send_group_q;  // the next one
  logic         [CountBits-1:0]   sent_d, sent_q;              // groups of its job before it
  logic         [RowBits-1:0]     row_d, row_q;                // of the next word
  logic                           sending_d, sending_q;        // a request was granted, words are left
  logic         [CountBits-1:0]   answered_d, answered_q;      // groups of the job that is answered
  write_request_t                 request_d, request_q;
  logic                           valid_d, valid_q;
  logic [GroupFloats-1:0][31:0]   word_d, word_q;
  done_t                          done_d, done_q;
  activity_t                      activity_d, activity_q;

  // ---- results, all rows at once ----
  localparam float_t One = '{sign: 1'b0, exponent: ExponentBits'(ExponentBias), fraction: '0};
  logic                  converted_valid, store;
  logic [Rows-1:0][31:0] converted, values;

  delay_line #(
    .Width(1),
    .Depth(Rows + 1)
  ) u_valid (
    .clk_i,
    .rst_ni,
    .data_i(result_i[0].valid),
    .data_o(converted_valid)
  );
  assign store  = converted_valid || attended_valid_i;
  assign values = attended_valid_i ? values_i : converted;

  // ---- where they go ----
  logic [JobBits-1:0]  fill_job;
  logic [LaneBits-1:0] lane;
  logic                job_filled, group_filled;
  assign fill_job      = fill_q[JobBits-1:0];
  assign lane         = feature_q[LaneBits-1:0];
  assign job_filled   = store && feature_q == job_q[fill_job].last;
  assign group_filled = job_filled || (store && lane == '1);

  logic [GroupFloats-1:0][31:0] group[Rows];
  for (genvar r = 0; r < Rows; r++) begin : gen_row
    logic [31:0] product;
    logic        unused_row;
    float_multiply #(
      .CodeBits(Binary32CodeBits),
      .Bias    (Binary32Bias),
      .Most    (Binary32Most)
    ) u_convert (
      .clk_i,
      .rst_ni,
      .a_i        (result_i[r].value),
      .b_i        (One),
      .product_o  (product),
      .saturated_o(unused_row)
    );
    if (r == Rows - 1) begin : gen_last
      assign converted[r] = product;
    end else begin : gen_early
      delay_line #(
        .Width(32),
        .Depth(Rows - 1 - r)
      ) u_late (
        .clk_i,
        .rst_ni,
        .data_i(product),
        .data_o(converted[r])
      );
    end
    logic unused_result;
    assign unused_result = ^{result_i[r].valid, result_i[r].slot};

    for (genvar l = 0; l < GroupFloats; l++) begin : gen_lane
      logic [31:0] value_q[ResultGroups];
      always_ff @(posedge clk_i) begin
        if (store && lane == LaneBits'(l) && rst_ni) value_q[fill_group_q] <= values[r];
      end
      assign group[r][l] = value_q[send_group_q];
    end
  end

  // ---- where they are sent ----
  logic [JobBits-1:0] send_job, answer_job, oldest_job;
  logic               ask, granted, load, group_sent, job_sent, last_group, taken, given;
  assign send_job    = send_q[JobBits-1:0];
  assign answer_job  = answer_q[JobBits-1:0];
  assign oldest_job     = pop_q[JobBits-1:0];
  assign last_group = sent_q == job_q[send_job].last[FeatureBits-1:LaneBits];
  assign ask        = complete_q != '0 && !request_q.valid && !sending_q;
  assign granted    = request_q.valid && write_request_ready_i;
  assign load       = (sending_q || granted) && (!valid_q || write_ready_i);
  assign group_sent = load && 4'(row_q) == job_q[send_job].rows - 4'd1;
  assign job_sent   = group_sent && last_group;
  assign taken      = job_i.valid && job_ready_o;
  assign given      = finished_q[oldest_job] && (!done_q.valid || done_ready_i);

  always_comb begin
    job_d        = job_q;
    end_d        = end_q;
    fault_d      = fault_q;
    refused_d    = refused_q;
    finished_d   = finished_q;
    push_d       = push_q + (JobBits + 1)'(taken);
    fill_d       = fill_q + (JobBits + 1)'(job_filled);
    send_d       = send_q + (JobBits + 1)'(job_sent);
    answer_d     = answer_q;
    pop_d        = pop_q + (JobBits + 1)'(given);
    feature_d    = job_filled ? '0 : feature_q + FeatureBits'(store);
    fill_group_d = fill_group_q + GroupBits'(group_filled);
    complete_d   = complete_q + (GroupBits + 1)'(group_filled) - (GroupBits + 1)'(ask);
    used_d       = used_q + (GroupBits + 1)'(reserve_i) - (GroupBits + 1)'(group_sent);
    send_group_d = send_group_q + GroupBits'(group_sent);
    sent_d       = job_sent ? '0 : sent_q + CountBits'(group_sent);
    row_d        = group_sent ? '0 : row_q + RowBits'(load);
    sending_d    = (sending_q || granted) && !group_sent;
    answered_d   = answered_q;
    request_d    = request_q;
    valid_d      = load || (valid_q && !write_ready_i);
    done_d       = done_q;

    if (group_sent) job_d[send_job].line = job_q[send_job].line + LineBits'(job_q[send_job].rows);
    if (taken) begin
      job_d[job_slot_o]     = '{rows: job_i.rows, last: job_i.features - 1'b1, line: job_i.line};
      end_d[job_slot_o]     = '{notify: job_done_i.notify, tokens: job_done_i.tokens,
                                index: job_done_i.index};
      fault_d[job_slot_o]   = 1'b0;
      refused_d[job_slot_o] = 1'b0;
    end
    if (fault_i.valid) fault_d[fault_i.job] = 1'b1;

    if (granted) request_d.valid = 1'b0;
    if (ask) begin
      request_d.valid   = 1'b1;
      request_d.address = {job_q[send_job].line, 6'd0};
      request_d.words   = 8'(job_q[send_job].rows);
    end

    if (write_done_i.valid) begin
      if (write_done_i.error) refused_d[answer_job] = 1'b1;
      answered_d = answered_q + 1'b1;
      if (answered_q == job_q[answer_job].last[FeatureBits-1:LaneBits]) begin
        answered_d             = '0;
        answer_d               = answer_q + 1'b1;
        finished_d[answer_job] = 1'b1;
      end
    end

    if (done_ready_i) done_d.valid = 1'b0;
    if (given) begin
      finished_d[oldest_job] = 1'b0;
      done_d.valid           = 1'b1;
      done_d.status          = 8'(StatusDone);
      if (refused_q[oldest_job]) done_d.status = 8'(StatusWriteError);
      if (fault_q[oldest_job]) done_d.status = 8'(StatusReadError);
      done_d.notify          = end_q[oldest_job].notify;
      done_d.tokens          = end_q[oldest_job].tokens;
      done_d.index           = end_q[oldest_job].index;
    end

    activity_d.busy    = push_q != pop_q;
    activity_d.blocked = activity_d.busy && ((request_q.valid && !write_request_ready_i) ||
                                             (valid_q && !write_ready_i) || (done_q.valid && !done_ready_i));
    activity_d.starved = fill_q != push_q && !store && complete_q == '0 && !request_q.valid && !sending_q &&
                         !valid_q && !activity_d.blocked;
    activity_d.index   = end_q[oldest_job].index;
  end

  // Missing features of the last group are 0.
  always_comb begin
    word_d = word_q;
    if (load) begin
      word_d = group[$clog2(Rows)'(row_q)];
      for (int unsigned l = 0; l < GroupFloats; l++) begin
        if (last_group && LaneBits'(l) > job_q[send_job].last[LaneBits-1:0]) word_d[l] = '0;
      end
    end
  end

  logic unused_done;
  assign unused_done = ^{job_done_i.valid, job_done_i.status};

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      job_q        <= '0;
      end_q        <= '0;
      fault_q      <= '0;
      refused_q    <= '0;
      finished_q   <= '0;
      push_q       <= '0;
      fill_q       <= '0;
      send_q       <= '0;
      answer_q     <= '0;
      pop_q        <= '0;
      feature_q    <= '0;
      fill_group_q <= '0;
      complete_q   <= '0;
      used_q       <= '0;
      send_group_q <= '0;
      sent_q       <= '0;
      row_q        <= '0;
      sending_q    <= '0;
      answered_q   <= '0;
      request_q    <= '0;
      valid_q      <= '0;
      word_q       <= '0;
      done_q       <= '0;
      activity_q   <= '0;
    end else begin
      job_q        <= job_d;
      end_q        <= end_d;
      fault_q      <= fault_d;
      refused_q    <= refused_d;
      finished_q   <= finished_d;
      push_q       <= push_d;
      fill_q       <= fill_d;
      send_q       <= send_d;
      answer_q     <= answer_d;
      pop_q        <= pop_d;
      feature_q    <= feature_d;
      fill_group_q <= fill_group_d;
      complete_q   <= complete_d;
      used_q       <= used_d;
      send_group_q <= send_group_d;
      sent_q       <= sent_d;
      row_q        <= row_d;
      sending_q    <= sending_d;
      answered_q   <= answered_d;
      request_q    <= request_d;
      valid_q      <= valid_d;
      word_q       <= word_d;
      done_q       <= done_d;
      activity_q   <= activity_d;
    end
  end

  logic [JobBits:0] held;
  assign held            = push_q - pop_q;
  assign job_ready_o     = held != (JobBits + 1)'(Jobs);
  assign job_slot_o      = push_q[JobBits-1:0];
  assign free_o          = (GroupBits + 1)'(ResultGroups) - used_q;
  assign write_request_o = request_q;
  assign write_valid_o   = valid_q;
  assign write_strobe_o  = '1;
  assign write_data_o    = word_q;
  assign done_o          = done_q;
  assign activity_o      = activity_q;

  `TANDEM_INVARIANT(INV_RESULTS_1, !job_i.valid || (job_i.features != '0 && job_i.rows != '0 &&
                    job_i.rows <= 4'(Rows)))
  `TANDEM_INVARIANT(INV_RESULTS_2, !(attended_valid_i && converted_valid))
  `TANDEM_INVARIANT(INV_RESULTS_3, !converted_valid || fill_q != push_q)
  `TANDEM_INVARIANT(INV_RESULTS_4, !attended_valid_i || fill_q != push_q)
  `TANDEM_INVARIANT(INV_RESULTS_5, !write_done_i.valid || answer_q != push_q)
  `TANDEM_INVARIANT(INV_RESULTS_6, used_q <= (GroupBits + 1)'(ResultGroups))
  `TANDEM_INVARIANT(INV_RESULTS_7, complete_q <= used_q)

endmodule : result_buffer
