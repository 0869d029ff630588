// SPDX-License-Identifier: Apache-2.0
// The core: the host rings, commands come from memory, units stream, compute and write back.
//
// control      csr, command_unit, counters, a work_queue ahead of each unit that begins with a command
// memory       memory_port: one AXI4 port for all
// units        operand_loader, stream_unit, appender, vector_unit; array_unit behind the stream unit
// array        gemv_sequencer, attention_engine, result_buffer
//
// A soft reset holds all but the registers and the port in reset until nothing of theirs is on the port any more.
`include "tandem_assert.svh"

module core
  import tandem_pkg::*;
#(
  parameter int unsigned Rows,
  parameter int unsigned Segments,
  parameter int unsigned BankWords
) (
  input  logic                       clk_i,
  input  logic                       rst_ni,
  // ---- the host: AXI4-Lite ----
  input  axi_lite_address_t          host_aw_i,
  output logic                       host_aw_ready_o,
  input  axi_lite_write_t            host_w_i,
  output logic                       host_w_ready_o,
  output axi_lite_response_t         host_b_o,
  input  logic                       host_b_ready_i,
  input  axi_lite_address_t          host_ar_i,
  output logic                       host_ar_ready_o,
  output axi_lite_read_t             host_r_o,
  input  logic                       host_r_ready_i,
  output logic                       interrupt_o,
  // ---- memory: AXI4 ----
  output axi_address_t               ar_o,
  input  logic                       ar_ready_i,
  input  axi_read_t                  r_i,
  input  logic   [AxiBytes-1:0][7:0] r_data_i,
  output logic                       r_ready_o,
  output axi_address_t               aw_o,
  input  logic                       aw_ready_i,
  output axi_write_t                 w_o,
  output logic        [AxiBytes-1:0] w_strobe_o,
  output logic   [AxiBytes-1:0][7:0] w_data_o,
  input  logic                       w_ready_i,
  input  axi_response_t              b_i,
  output logic                       b_ready_o,
  // ---- what is to be seen from outside ----
  output activity_t      [Units-1:0] activity_o,
  output attention_flags_t [Rows-1:0] flags_o,
  output bank_errors_t               errors_o
);

  localparam int unsigned Lanes      = Segments * SegmentLanes;
  localparam int unsigned TileGroups = PsumSlots / GroupFloats;

  // ---- registers of the host ----
  logic                           enable, soft_reset, pinned_wanted, command_idle, completion, idle;
  logic [AxiAddressBits-1:0]      command_base, completion_base, bounds_base, bounds_limit;
  logic [3:0]                     ring_size_log2;
  doorbell_t                      doorbell;
  logic [CommandIndexBits-1:0]    consumer;
  core_error_t                    command_error;
  logic [CounterSelectBits-1:0]   counter_select;
  logic [63:0]                    counter;
  core_geometry_t                 geometry;
  assign geometry.rows       = 8'(Rows);
  assign geometry.segments   = 8'(Segments);
  assign geometry.bank_words = 16'(BankWords);

  csr u_csr (
    .clk_i,
    .rst_ni,
    .aw_i             (host_aw_i),
    .aw_ready_o       (host_aw_ready_o),
    .w_i              (host_w_i),
    .w_ready_o        (host_w_ready_o),
    .b_o              (host_b_o),
    .b_ready_i        (host_b_ready_i),
    .ar_i             (host_ar_i),
    .ar_ready_o       (host_ar_ready_o),
    .r_o              (host_r_o),
    .r_ready_i        (host_r_ready_i),
    .interrupt_o,
    .geometry_i       (geometry),
    .idle_i           (idle),
    .consumer_i       (consumer),
    .completion_i     (completion),
    .error_i          (command_error),
    .counter_i        (counter),
    .enable_o         (enable),
    .soft_reset_o     (soft_reset),
    .pinned_o         (pinned_wanted),
    .command_base_o   (command_base),
    .ring_size_log2_o (ring_size_log2),
    .completion_base_o(completion_base),
    .bounds_base_o    (bounds_base),
    .bounds_limit_o   (bounds_limit),
    .doorbell_o       (doorbell),
    .counter_select_o (counter_select)
  );

  // ---- soft reset ----
  logic clearing_d, clearing_q, units_rst_n, port_idle;
  assign clearing_d  = soft_reset || (clearing_q && !port_idle);
  assign units_rst_n = rst_ni && !clearing_q;
  assign idle        = command_idle && !clearing_q;

  // The banks are divided anew only while nothing is in them that is on its way.
  logic pinned_d, pinned_q;
  assign pinned_d = idle ? pinned_wanted : pinned_q;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      clearing_q <= '0;
      pinned_q   <= '0;
    end else begin
      clearing_q <= clearing_d;
      pinned_q   <= pinned_d;
    end
  end

  // ---- the memory port: its clients are the stream; commands, loads, appends, vector; results, appends, completions,
  // vector ----
  read_request_t                  stream_request;
  logic                           stream_request_ready, stream_ready;
  read_word_t                     stream_word;
  logic      [AxiBytes-1:0][7:0]  stream_data, read_data;
  read_request_t            [3:0] read_request;
  logic                     [3:0] read_request_ready, read_ready;
  read_word_t               [3:0] read_word;
  write_request_t           [3:0] write_request;
  logic                     [3:0] write_request_ready, write_valid, write_ready;
  logic [3:0][AxiBytes-1:0]       write_strobe;
  logic [3:0][AxiBytes-1:0][7:0]  write_data;
  write_done_t              [3:0] write_done;

  memory_port #(
    .StreamDepth(512),
    .StreamBurst(64),
    .AuxDepth   (64),
    .AuxBurst   (16),
    .WriteDepth (64),
    .WriteBurst (16)
  ) u_port (
    .clk_i,
    .rst_ni,
    .flush_i               (clearing_q),
    .idle_o                (port_idle),
    .stream_request_i      (stream_request),
    .stream_request_ready_o(stream_request_ready),
    .stream_word_o         (stream_word),
    .stream_data_o         (stream_data),
    .stream_ready_i        (stream_ready),
    .read_request_i        (read_request),
    .read_request_ready_o  (read_request_ready),
    .read_word_o           (read_word),
    .read_data_o           (read_data),
    .read_ready_i          (read_ready),
    .write_request_i       (write_request),
    .write_request_ready_o (write_request_ready),
    .write_valid_i         (write_valid),
    .write_strobe_i        (write_strobe),
    .write_data_i          (write_data),
    .write_ready_o         (write_ready),
    .write_done_o          (write_done),
    .ar_o,
    .ar_ready_i,
    .r_i,
    .r_data_i,
    .r_ready_o,
    .aw_o,
    .aw_ready_i,
    .w_o,
    .w_strobe_o,
    .w_data_o,
    .w_ready_i,
    .b_i,
    .b_ready_o
  );

  // ---- commands ----
  logic                     [3:0] work_valid, work_ready;  // load, stream, append, vector
  logic  [CommandIndexBits-1:0]   work_index;
  logic              [7:0][63:0]  work;
  logic  [ScoreboardTokens-1:0]   pending, array_holds, array_waiting;
  logic [3:0][ScoreboardTokens-1:0] queue_holds, queue_waiting;
  done_t                    [4:0] done;                    // load, stream, append, results, vector
  logic                     [4:0] done_ready;

  command_unit #(
    .Rows,
    .Segments,
    .BankWords
  ) u_command (
    .clk_i,
    .rst_ni               (units_rst_n),
    .enable_i             (enable),
    .command_base_i       (command_base),
    .ring_size_log2_i     (ring_size_log2),
    .completion_base_i    (completion_base),
    .doorbell_i           (doorbell),
    .bounds_base_i        (bounds_base),
    .bounds_limit_i       (bounds_limit),
    .consumer_o           (consumer),
    .completion_o         (completion),
    .error_o              (command_error),
    .idle_o               (command_idle),
    .request_o            (read_request[0]),
    .request_ready_i      (read_request_ready[0]),
    .word_i               (read_word[0]),
    .data_i               (read_data),
    .word_ready_o         (read_ready[0]),
    .write_request_o      (write_request[2]),
    .write_request_ready_i(write_request_ready[2]),
    .write_valid_o        (write_valid[2]),
    .write_strobe_o       (write_strobe[2]),
    .write_data_o         (write_data[2]),
    .write_ready_i        (write_ready[2]),
    .write_done_i         (write_done[2]),
    .work_valid_o         (work_valid),
    .work_index_o         (work_index),
    .work_o               (work),
    .work_ready_i         (work_ready),
    .pending_o            (pending),
    .holds_i              (queue_holds[0] | queue_holds[1] | queue_holds[2] | queue_holds[3] | array_holds),
    .done_i               (done),
    .done_ready_o         (done_ready),
    .activity_o           (activity_o[0])
  );

  logic                [3:0]            front_valid, front_ready;
  logic [3:0][CommandIndexBits-1:0]     front_index;
  logic [3:0]         [7:0][63:0]       front;
  for (genvar u = 0; u < 4; u++) begin : gen_queue
    work_queue #(
      .Depth(4),
      .Stage(0)
    ) u_queue (
      .clk_i,
      .rst_ni       (units_rst_n),
      .work_valid_i (work_valid[u]),
      .work_index_i (work_index),
      .work_i       (work),
      .work_ready_o (work_ready[u]),
      .pending_i    (pending),
      .front_valid_o(front_valid[u]),
      .front_index_o(front_index[u]),
      .front_o      (front[u]),
      .front_ready_i(front_ready[u]),
      .holds_o      (queue_holds[u]),
      .waiting_o    (queue_waiting[u])
    );
  end

  // ---- loads and appends ----
  operand_block_t                 block;
  logic [SegmentLanes-1:0][7:0]   block_data;

  operand_loader #(
    .Rows,
    .Segments
  ) u_loader (
    .clk_i,
    .rst_ni         (units_rst_n),
    .work_valid_i   (front_valid[0]),
    .work_index_i   (front_index[0]),
    .work_i         (front[0]),
    .work_ready_o   (front_ready[0]),
    .request_o      (read_request[1]),
    .request_ready_i(read_request_ready[1]),
    .word_i         (read_word[1]),
    .data_i         (read_data),
    .word_ready_o   (read_ready[1]),
    .block_o        (block),
    .block_data_o   (block_data),
    .done_o         (done[0]),
    .done_ready_i   (done_ready[0]),
    .activity_o     (activity_o[1])
  );

  appender #(
    .Segments
  ) u_appender (
    .clk_i,
    .rst_ni               (units_rst_n),
    .work_valid_i         (front_valid[2]),
    .work_index_i         (front_index[2]),
    .work_i               (front[2]),
    .work_ready_o         (front_ready[2]),
    .request_o            (read_request[2]),
    .request_ready_i      (read_request_ready[2]),
    .word_i               (read_word[2]),
    .data_i               (read_data),
    .word_ready_o         (read_ready[2]),
    .write_request_o      (write_request[1]),
    .write_request_ready_i(write_request_ready[1]),
    .write_valid_o        (write_valid[1]),
    .write_strobe_o       (write_strobe[1]),
    .write_data_o         (write_data[1]),
    .write_ready_i        (write_ready[1]),
    .write_done_i         (write_done[1]),
    .done_o               (done[2]),
    .done_ready_i         (done_ready[2]),
    .activity_o           (activity_o[4])
  );

  // ---- streams ----
  command_t                            head_command;
  logic [Rows-1:0][PositionBits-1:0]   positions;
  logic [Rows-1:0]                     rows;
  logic                                head_ready, released, fill_ready, transit;
  head_start_t                         started, refused, stream_fault;
  head_info_t                          started_info;
  bank_fill_t                          fill, written;
  logic [Lanes-1:0][7:0]               fill_data, weight;
  logic                                weight_valid, weight_fault, weight_ready;
  logic                                array_valid, array_ready, stream_work_ready;
  logic [CommandIndexBits-1:0]         array_index;
  logic [7:0][63:0]                    array_work;
  command_head_t                       stream_head;
  command_destination_t                stream_destination;

  assign stream_head        = front[1][0];
  assign stream_destination = front[1][2];
  logic unused_stream;
  assign unused_stream = ^{stream_head, stream_destination};
  // One command at a time between the stream unit and the array unit.
  assign front_ready[1]     = stream_work_ready && !transit;

  stream_unit #(
    .Rows,
    .Segments,
    .BankWords
  ) u_stream (
    .clk_i,
    .rst_ni         (units_rst_n),
    .pinned_i       (pinned_q),
    .work_valid_i   (front_valid[1] && !transit),
    .work_index_i   (front_index[1]),
    .work_i         (front[1]),
    .work_ready_o   (stream_work_ready),
    .command_o      (head_command),
    .positions_o    (positions),
    .rows_o         (rows),
    .command_ready_i(head_ready),
    .started_i      (started),
    .started_info_i (started_info),
    .refused_i      (refused),
    .request_o      (stream_request),
    .request_ready_i(stream_request_ready),
    .word_i         (stream_word),
    .data_i         (stream_data),
    .word_ready_o   (stream_ready),
    .fill_o         (fill),
    .fill_data_o    (fill_data),
    .fill_ready_i   (fill_ready),
    .written_i      (written),
    .released_i     (released),
    .weight_valid_o (weight_valid),
    .weight_o       (weight),
    .weight_fault_o (weight_fault),
    .weight_ready_i (weight_ready),
    .array_valid_o  (array_valid),
    .array_index_o  (array_index),
    .array_work_o   (array_work),
    .array_ready_i  (array_ready),
    .fault_o        (stream_fault),
    .done_o         (done[1]),
    .done_ready_i   (done_ready[1]),
    .activity_o     (activity_o[2])
  );

  // ---- the array ----
  gemv_t                                gemv;
  logic                                 gemv_ready, gemv_end, gemv_fault, gemv_busy, gemv_starved;
  logic                                 gemv_blocked, gemv_owns, job_ready, head_poisoned;
  logic                           [2:0] gemv_reserve;
  feed_tag_t                            gemv_feed;
  beat_t                                gemv_beat;
  lane_byte_t            [Segments-1:0] gemv_scales;
  logic [Segments-1:0][SegmentLanes-1:0][7:0] gemv_elements;
  operands_t                            operands;
  attended_t                            attended;
  head_end_t                            head_done;
  logic                [Rows-1:0][31:0] values;
  result_t                   [Rows-1:0] engine_result, gemv_result;
  result_job_t                          job;
  done_t                                job_done;
  job_fault_t                           job_fault;
  logic                           [1:0] job_slot;
  logic                           [3:0] head_reserve;
  logic                           [5:0] free_groups;

  array_unit #(
    .Rows,
    .Segments
  ) u_array_unit (
    .clk_i,
    .rst_ni        (units_rst_n),
    .taken_i       (front_valid[1] && front_ready[1] && 32'(stream_head.opcode) != OpcodeFill),
    .taken_wait_i  (stream_destination.wait_array),
    .refused_i     (refused.valid),
    .transit_o     (transit),
    .work_valid_i  (array_valid),
    .work_index_i  (array_index),
    .work_i        (array_work),
    .work_ready_o  (array_ready),
    .fault_i       (stream_fault),
    .pending_i     (pending),
    .holds_o       (array_holds),
    .waiting_o     (array_waiting),
    .gemv_o        (gemv),
    .gemv_ready_i  (gemv_ready),
    .gemv_end_i    (gemv_end),
    .gemv_fault_i  (gemv_fault),
    .gemv_busy_i   (gemv_busy),
    .gemv_starved_i(gemv_starved),
    .gemv_blocked_i(gemv_blocked),
    .stream_starved_i(activity_o[2].starved),
    .owner_o       (gemv_owns),
    .operands_o    (operands),
    .attended_i    (attended),
    .poisoned_i    (head_poisoned),
    .head_done_i   (head_done),
    .job_o         (job),
    .job_done_o    (job_done),
    .job_ready_i   (job_ready),
    .job_slot_i    (job_slot),
    .job_fault_o   (job_fault),
    .reserve_o     (head_reserve),
    .free_i        (free_groups),
    .activity_o    (activity_o[3])
  );

  gemv_sequencer #(
    .Segments
  ) u_gemv (
    .clk_i,
    .rst_ni        (units_rst_n),
    .gemv_i        (gemv),
    .gemv_ready_o  (gemv_ready),
    .weight_valid_i(weight_valid),
    .weight_i      (weight),
    .weight_fault_i(weight_fault),
    .weight_ready_o(weight_ready),
    .room_i        (free_groups >= 6'(TileGroups)),
    .reserve_o     (gemv_reserve),
    .feed_o        (gemv_feed),
    .beat_o        (gemv_beat),
    .scales_o      (gemv_scales),
    .elements_o    (gemv_elements),
    .fault_o       (gemv_fault),
    .job_end_o     (gemv_end),
    .busy_o        (gemv_busy),
    .starved_o     (gemv_starved),
    .blocked_o     (gemv_blocked)
  );

  attention_engine #(
    .Rows,
    .Segments,
    .BankWords
  ) u_engine (
    .clk_i,
    .rst_ni         (units_rst_n),
    .command_i      (head_command),
    .positions_i    (positions),
    .rows_i         (rows),
    .command_ready_o(head_ready),
    .started_o      (started),
    .started_info_o (started_info),
    .refused_o      (refused),
    .block_i        (block),
    .block_data_i   (block_data),
    .operands_i     (operands),
    .pinned_i       (pinned_q),
    .fill_i         (fill),
    .fill_data_i    (fill_data),
    .fill_ready_o   (fill_ready),
    .written_o      (written),
    .released_o     (released),
    .gemv_i         (gemv_owns),
    .gemv_feed_i    (gemv_feed),
    .gemv_beat_i    (gemv_beat),
    .gemv_scales_i  (gemv_scales),
    .gemv_elements_i(gemv_elements),
    .result_o       (engine_result),
    .out_ready_i    (1'b1),  // its room was reserved when it began
    .attended_o     (attended),
    .values_o       (values),
    .poisoned_o     (head_poisoned),
    .head_done_o    (head_done),
    .clear_i        (1'b0),
    .flags_o,
    .errors_o
  );

  always_comb begin
    for (int unsigned r = 0; r < Rows; r++) begin
      gemv_result[r]       = engine_result[r];
      gemv_result[r].valid = engine_result[r].valid && gemv_owns;
    end
  end

  result_buffer #(
    .Rows
  ) u_results (
    .clk_i,
    .rst_ni               (units_rst_n),
    .job_i                (job),
    .job_done_i           (job_done),
    .job_ready_o          (job_ready),
    .job_slot_o           (job_slot),
    .fault_i              (job_fault),
    .reserve_i            (head_reserve | 4'(gemv_reserve)),
    .free_o               (free_groups),
    .result_i             (gemv_result),
    .attended_valid_i     (attended.valid),
    .values_i             (values),
    .write_request_o      (write_request[0]),
    .write_request_ready_i(write_request_ready[0]),
    .write_valid_o        (write_valid[0]),
    .write_strobe_o       (write_strobe[0]),
    .write_data_o         (write_data[0]),
    .write_ready_i        (write_ready[0]),
    .write_done_i         (write_done[0]),
    .done_o               (done[3]),
    .done_ready_i         (done_ready[3]),
    .activity_o           (activity_o[5])
  );

  // ---- vector ----
  logic vector_overflow;

  vector_unit u_vector (
    .clk_i,
    .rst_ni               (units_rst_n),
    .work_valid_i         (front_valid[3]),
    .work_index_i         (front_index[3]),
    .work_i               (front[3]),
    .work_ready_o         (front_ready[3]),
    .request_o            (read_request[3]),
    .request_ready_i      (read_request_ready[3]),
    .word_i               (read_word[3]),
    .data_i               (read_data),
    .word_ready_o         (read_ready[3]),
    .write_request_o      (write_request[3]),
    .write_request_ready_i(write_request_ready[3]),
    .write_valid_o        (write_valid[3]),
    .write_strobe_o       (write_strobe[3]),
    .write_data_o         (write_data[3]),
    .write_ready_i        (write_ready[3]),
    .write_done_i         (write_done[3]),
    .done_o               (done[4]),
    .done_ready_i         (done_ready[4]),
    .overflow_o           (vector_overflow),
    .activity_o           (activity_o[6])
  );

  // ---- counters ----
  logic [3:0]  events;
  logic [63:0] unit_counter;
  always_comb begin
    events[0] = stream_word.valid && stream_ready;
    events[1] = (read_word[0].valid && read_ready[0]) || (read_word[1].valid && read_ready[1])
                || (read_word[2].valid && read_ready[2]) || (read_word[3].valid && read_ready[3]);
    events[2] = w_o.valid && w_ready_i;
    events[3] = write_done[2].valid;
  end
  counters #(
    .Width(48)
  ) u_counters (
    .clk_i,
    .rst_ni,
    .activity_i(activity_o),
    .waiting_i (queue_waiting[0] | queue_waiting[1] | queue_waiting[2] | queue_waiting[3] | array_waiting),
    .event_i   (events),
    .select_i  (counter_select),
    .counter_o (unit_counter)
  );

  // Behind the units' counters: codewords with wrong bits, the flags of all rows, and whether a result of the vector unit was
  // beyond binary32.
  attention_flags_t flags;
  always_comb begin
    flags = '0;
    for (int unsigned r = 0; r < Rows; r++) flags |= flags_o[r];
    case (counter_select)
      6'd26:   counter = 64'(errors_o.corrected);
      6'd27:   counter = 64'(errors_o.uncorrectable);
      6'd28:   counter = 64'(flags);
      6'd29:   counter = 64'(vector_overflow);
      default: counter = unit_counter;
    endcase
  end

  // Room for results is reserved by one of them at a time.
  `TANDEM_INVARIANT(INV_CORE_1, head_reserve == '0 || gemv_reserve == '0)

endmodule : core
