// SPDX-License-Identifier: Apache-2.0
// Carries out the vector commands: reads results and parameters from memory, 16 features a cycle, and writes results,
// operand rows or token records (docs/commands.md). One command at a time, from its first word to the answer to its last
// write. All outputs come from registers, but that data are taken in the cycle in which they come.
`include "tandem_assert.svh"

module vector_unit
  import tandem_pkg::*;
(
  input  logic                              clk_i,
  input  logic                              rst_ni,
  input  logic                              work_valid_i,
  input  logic       [CommandIndexBits-1:0] work_index_i,
  input  logic                  [7:0][63:0] work_i,
  output logic                              work_ready_o,
  output read_request_t                     request_o,
  input  logic                              request_ready_i,
  input  read_word_t                        word_i,
  input  logic          [AxiBytes-1:0][7:0] data_i,
  output logic                              word_ready_o,
  output write_request_t                    write_request_o,
  input  logic                              write_request_ready_i,
  output logic                              write_valid_o,
  output logic               [AxiBytes-1:0] write_strobe_o,
  output logic          [AxiBytes-1:0][7:0] write_data_o,
  input  logic                              write_ready_i,
  input  write_done_t                       write_done_i,
  output done_t                             done_o,
  input  logic                              done_ready_i,
  output logic                              overflow_o,  // sticky: a result was clamped to binary32's largest
  output activity_t                         activity_o
);

  logic overflow_d, overflow_q;

  // ---- from the command to the lanes ----
  lane_op_e                          op;
  vector_word_t                      word, argmax_word;
  logic      [GroupFloats-1:0][31:0] a, b, cos, sin;
  float_t                            scale;
  logic                              argmax_clear, argmax_busy;
  logic            [FeatureBits-1:0] argmax_count;
  logic      [GroupFloats-1:0][31:0] argmax_result;
  logic                              sums_clear, reduce, sums_busy, lanes_busy;
  logic                        [3:0] sum_units;
  logic                       [31:0] mean, eps;
  float_t          [VectorUnits-1:0] scales;
  logic                              start, writes, direct_valid;
  form_e                             form;
  logic                        [3:0] stride;
  vector_place_t                     place;
  logic         [AxiAddressBits-1:0] place_scales;
  logic               [LineBits-1:0] direct_line;
  logic      [GroupFloats-1:0][31:0] direct_data;
  logic                              writer_ready, writer_idle, writer_failed, writer_overflow;

  vector_sequencer u_sequencer (
    .clk_i,
    .rst_ni,
    .work_valid_i,
    .work_index_i,
    .work_i,
    .work_ready_o,
    .request_o,
    .request_ready_i,
    .word_i,
    .data_i,
    .word_ready_o,
    .op_o           (op),
    .word_o         (word),
    .a_o            (a),
    .b_o            (b),
    .cos_o          (cos),
    .sin_o          (sin),
    .scale_o        (scale),
    .argmax_word_o  (argmax_word),
    .argmax_clear_o (argmax_clear),
    .argmax_count_o (argmax_count),
    .argmax_busy_i  (argmax_busy),
    .argmax_result_i(argmax_result),
    .sums_clear_o   (sums_clear),
    .reduce_o       (reduce),
    .units_o        (sum_units),
    .mean_o         (mean),
    .eps_o          (eps),
    .sums_busy_i    (sums_busy),
    .scales_i       (scales),
    .start_o        (start),
    .write_o        (writes),
    .form_o         (form),
    .stride_o       (stride),
    .place_o        (place),
    .place_scales_o (place_scales),
    .direct_valid_o (direct_valid),
    .direct_line_o  (direct_line),
    .direct_data_o  (direct_data),
    .writer_ready_i (writer_ready),
    .writer_idle_i  (writer_idle),
    .writer_failed_i(writer_failed),
    .lanes_busy_i   (lanes_busy),
    .done_o,
    .done_ready_i,
    .activity_o
  );

  // ---- the lanes, and what comes out of them ----
  vector_word_t             out, square_word, written;
  float_t [GroupFloats-1:0] y, square;

  vector_lanes u_lanes (
    .clk_i,
    .rst_ni,
    .op_i         (op),
    .word_i       (word),
    .a_i          (a),
    .b_i          (b),
    .cos_i        (cos),
    .sin_i        (sin),
    .scale_i      (scale),
    .word_o       (out),
    .y_o          (y),
    .square_word_o(square_word),
    .square_o     (square),
    .busy_o       (lanes_busy)
  );

  row_sums u_sums (
    .clk_i,
    .rst_ni,
    .clear_i (sums_clear),
    .word_i  (square_word),
    .square_i(square),
    .reduce_i(reduce),
    .units_i (sum_units),
    .mean_i  (mean),
    .eps_i   (eps),
    .busy_o  (sums_busy),
    .scales_o(scales)
  );

  argmax u_argmax (
    .clk_i,
    .rst_ni,
    .clear_i (argmax_clear),
    .count_i (argmax_count),
    .word_i  (argmax_word),
    .a_i     (a),
    .busy_o  (argmax_busy),
    .result_o(argmax_result)
  );

  always_comb begin
    written       = out;
    written.valid = out.valid && writes;
  end

  vector_writer u_writer (
    .clk_i,
    .rst_ni,
    .start_i      (start),
    .form_i       (form),
    .stride_i     (stride),
    .place_i      (place),
    .place_scales_i(place_scales),
    .word_i       (written),
    .y_i          (y),
    .direct_valid_i(direct_valid),
    .direct_line_i(direct_line),
    .direct_data_i(direct_data),
    .ready_o      (writer_ready),
    .write_request_o,
    .write_request_ready_i,
    .write_valid_o,
    .write_strobe_o,
    .write_data_o,
    .write_ready_i,
    .write_done_i,
    .idle_o       (writer_idle),
    .failed_o     (writer_failed),
    .overflow_o   (writer_overflow)
  );

  assign overflow_d = overflow_q || writer_overflow;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) overflow_q <= '0;
    else overflow_q <= overflow_d;
  end
  assign overflow_o = overflow_q;

  `TANDEM_INVARIANT(INV_VECTOR_1, !(word.valid && argmax_word.valid))

endmodule : vector_unit
