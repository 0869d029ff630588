// SPDX-License-Identifier: Apache-2.0
// Streams what the array works on: takes Gemv, Attend and Fill commands in order, asks memory for weights, for tiles of
// K and V and for words that stay in the banks, ahead of need, and deals the words out as they come. Every Gemv and
// Attend goes on to the array. One word of the array per cycle, a cycle after it came.
module stream_unit
  import tandem_pkg::*;
#(
  parameter int unsigned Segments,   // 1 or 2
  parameter int unsigned Rows,
  parameter int unsigned BankWords,
  localparam int unsigned WordBytes = SegmentLanes * Segments
) (
  input  logic                                    clk_i,
  input  logic                                    rst_ni,
  input  logic                                    pinned_i,         // tiles have half of the banks
  input  logic                                    work_valid_i,
  input  logic             [CommandIndexBits-1:0] work_index_i,
  input  logic                        [7:0][63:0] work_i,
  output logic                                    work_ready_o,
  output command_t                                command_o,        // a head
  output logic       [Rows-1:0][PositionBits-1:0] positions_o,
  output logic                         [Rows-1:0] rows_o,
  input  logic                                    command_ready_i,
  input  head_start_t                             started_i,
  input  head_info_t                              started_info_i,   // of the head that was started
  input  head_start_t                             refused_i,
  output read_request_t                           request_o,
  input  logic                                    request_ready_i,
  input  read_word_t                              word_i,
  input  logic                [AxiBytes-1:0][7:0] data_i,
  output logic                                    word_ready_o,
  output bank_fill_t                              fill_o,
  output logic               [WordBytes-1:0][7:0] fill_data_o,
  input  logic                                    fill_ready_i,
  input  bank_fill_t                              written_i,        // this word is in the banks
  input  logic                                    released_i,       // the room of the oldest tile is free
  output logic                                    weight_valid_o,
  output logic               [WordBytes-1:0][7:0] weight_o,
  output logic                                    weight_fault_o,   // it, or one before in its tile
  input  logic                                    weight_ready_i,
  output logic                                    array_valid_o,
  output logic             [CommandIndexBits-1:0] array_index_o,
  output logic                        [7:0][63:0] array_work_o,
  input  logic                                    array_ready_i,
  output head_start_t                             fault_o,          // a word of this context was refused
  output done_t                                   done_o,
  input  logic                                    done_ready_i,
  output activity_t                               activity_o
);

  stream_run_t run;
  logic        run_ready, fill_error, working, waits;

  stream_sequencer #(
    .Segments (Segments),
    .Rows     (Rows),
    .BankWords(BankWords)
  ) u_sequencer (
    .clk_i,
    .rst_ni,
    .pinned_i,
    .work_valid_i,
    .work_index_i,
    .work_i,
    .work_ready_o,
    .command_o,
    .positions_o,
    .rows_o,
    .command_ready_i,
    .started_i,
    .started_info_i,
    .refused_i,
    .request_o,
    .request_ready_i,
    .run_o          (run),
    .run_ready_i    (run_ready),
    .written_i,
    .released_i,
    .fill_error_i   (fill_error),
    .array_valid_o,
    .array_index_o,
    .array_work_o,
    .array_ready_i,
    .done_o,
    .done_ready_i,
    .working_o      (working),
    .waits_o        (waits)
  );

  stream_distributor #(
    .Segments(Segments)
  ) u_distributor (
    .clk_i,
    .rst_ni,
    .run_i         (run),
    .run_ready_o   (run_ready),
    .word_i,
    .data_i,
    .word_ready_o,
    .fill_o,
    .fill_data_o,
    .fill_ready_i,
    .weight_valid_o,
    .weight_o,
    .weight_fault_o,
    .weight_ready_i,
    .fault_o,
    .fill_error_o  (fill_error),
    .working_i     (working),
    .waits_i       (waits),
    .index_i       (array_index_o),
    .activity_o
  );

endmodule : stream_unit
