// SPDX-License-Identifier: Apache-2.0
// The operand loader and the appender side by side, as a device of their own; they share nothing. All outputs come from
// registers.
module dma
  import tandem_pkg::*;
#(
  parameter int unsigned Rows,
  parameter int unsigned Segments  // 1 or 2
) (
  input  logic                              clk_i,
  input  logic                              rst_ni,
  input  logic                              load_valid_i,
  input  logic       [CommandIndexBits-1:0] load_index_i,
  input  logic                  [7:0][63:0] load_i,
  output logic                              load_ready_o,
  output read_request_t                     load_request_o,
  input  logic                              load_request_ready_i,
  input  read_word_t                        load_word_i,
  input  logic          [AxiBytes-1:0][7:0] load_data_i,
  output logic                              load_word_ready_o,
  output operand_block_t                    block_o,
  output logic      [SegmentLanes-1:0][7:0] block_data_o,
  output done_t                             load_done_o,
  input  logic                              load_done_ready_i,
  output activity_t                         load_activity_o,
  input  logic                              append_valid_i,
  input  logic       [CommandIndexBits-1:0] append_index_i,
  input  logic                  [7:0][63:0] append_i,
  output logic                              append_ready_o,
  output read_request_t                     append_request_o,
  input  logic                              append_request_ready_i,
  input  read_word_t                        append_word_i,
  input  logic          [AxiBytes-1:0][7:0] append_data_i,
  output logic                              append_word_ready_o,
  output write_request_t                    write_request_o,
  input  logic                              write_request_ready_i,
  output logic                              write_valid_o,
  output logic               [AxiBytes-1:0] write_strobe_o,
  output logic          [AxiBytes-1:0][7:0] write_data_o,
  input  logic                              write_ready_i,
  input  write_done_t                       write_done_i,
  output done_t                             append_done_o,
  input  logic                              append_done_ready_i,
  output activity_t                         append_activity_o
);

  operand_loader #(
    .Rows    (Rows),
    .Segments(Segments)
  ) u_loader (
    .clk_i,
    .rst_ni,
    .work_valid_i   (load_valid_i),
    .work_index_i   (load_index_i),
    .work_i         (load_i),
    .work_ready_o   (load_ready_o),
    .request_o      (load_request_o),
    .request_ready_i(load_request_ready_i),
    .word_i         (load_word_i),
    .data_i         (load_data_i),
    .word_ready_o   (load_word_ready_o),
    .block_o,
    .block_data_o,
    .done_o         (load_done_o),
    .done_ready_i   (load_done_ready_i),
    .activity_o     (load_activity_o)
  );

  appender #(
    .Segments(Segments)
  ) u_appender (
    .clk_i,
    .rst_ni,
    .work_valid_i   (append_valid_i),
    .work_index_i   (append_index_i),
    .work_i         (append_i),
    .work_ready_o   (append_ready_o),
    .request_o      (append_request_o),
    .request_ready_i(append_request_ready_i),
    .word_i         (append_word_i),
    .data_i         (append_data_i),
    .word_ready_o   (append_word_ready_o),
    .write_request_o,
    .write_request_ready_i,
    .write_valid_o,
    .write_strobe_o,
    .write_data_o,
    .write_ready_i,
    .write_done_i,
    .done_o         (append_done_o),
    .done_ready_i   (append_done_ready_i),
    .activity_o     (append_activity_o)
  );

endmodule : dma
