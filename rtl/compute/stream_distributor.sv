// SPDX-License-Identifier: Apache-2.0
// Deals out the words that memory gives, in order, as the runs say: to the banks or to the array. A word is out a cycle
// after it came; one word of the array follows per cycle, from run to run without a gap.
`include "tandem_assert.svh"

module stream_distributor
  import tandem_pkg::*;
#(
  parameter int unsigned Segments,  // 1 or 2
  localparam int unsigned WordBytes = SegmentLanes * Segments,
  localparam int unsigned Columns   = WordBytes / 8,
  localparam int unsigned Lines     = AxiBytes / 8,
  localparam int unsigned Parts     = AxiBytes / WordBytes  // words of the array in one of memory
) (
  input  logic                               clk_i,
  input  logic                               rst_ni,
  input  stream_run_t                        run_i,
  output logic                               run_ready_o,
  input  read_word_t                         word_i,
  input  logic           [AxiBytes-1:0][7:0] data_i,
  output logic                               word_ready_o,
  output bank_fill_t                         fill_o,
  output logic          [WordBytes-1:0][7:0] fill_data_o,
  input  logic                               fill_ready_i,
  output logic                               weight_valid_o,
  output logic          [WordBytes-1:0][7:0] weight_o,
  output logic                               weight_fault_o,
  input  logic                               weight_ready_i,
  output head_start_t                        fault_o,         // a word of this context could not be read
  output logic                               fill_error_o,    // a word that stays in the banks could not
  input  logic                               working_i,       // the sequencer has a command
  input  logic                               waits_i,         // it waits for room in the banks
  input  logic        [CommandIndexBits-1:0] index_i,         // its last command
  output activity_t                          activity_o
);

  localparam int unsigned Slots = 8;

  stream_run_t              runs_d[Slots], runs_q[Slots];  // a ring; `valid`: the entry is taken
  logic               [2:0] head_d, head_q, tail_d, tail_q;
  logic               [1:0] hold_left_d, hold_left_q;      // words of the array in hold_q
  logic                     hold_error_d, hold_error_q;
  logic   [Lines-1:0][63:0] hold_d, hold_q;                // the next one lowest
  bank_fill_t               fill_d, fill_q;
  logic                     weight_valid_d, weight_valid_q;
  logic                     weight_fault_d, weight_fault_q;
  logic [Columns-1:0][63:0] word_d, word_q;
  head_start_t              fault_d, fault_q;
  logic                     fill_error_d, fill_error_q;
  activity_t                activity_d, activity_q;

  stream_run_t            run;
  logic [Lines-1:0][63:0] source;
  logic             [1:0] left;  // words of the array in source
  logic                   error, held, take, advance, give;
  assign run     = runs_q[head_q];
  assign held    = hold_left_q != '0;
  assign take    = word_i.valid && word_ready_o;
  assign advance = (!fill_q.valid || fill_ready_i) && (!weight_valid_q || weight_ready_i);
  assign source  = held ? hold_q : data_i;
  assign error   = held ? hold_error_q : word_i.error;

  logic unused_first;
  assign unused_first = word_i.first;

  always_comb begin
    left = hold_left_q;
    if (take) left = run.words < 16'(Parts) ? 2'(run.words) : 2'(Parts);
    give = advance && left != '0;

    runs_d         = runs_q;
    head_d         = head_q;
    tail_d         = tail_q;
    hold_left_d    = left - 2'(give);
    hold_error_d   = hold_error_q;
    hold_d         = hold_q;
    fill_d         = fill_q;
    weight_valid_d = weight_valid_q;
    weight_fault_d = weight_fault_q;
    word_d         = word_q;
    fault_d        = '0;
    fill_error_d   = 1'b0;

    if (run_i.valid && run_ready_o) begin
      runs_d[tail_q] = run_i;
      tail_d         = tail_q + 1'b1;
    end
    if (advance) begin
      fill_d.valid   = 1'b0;
      weight_valid_d = 1'b0;
    end
    if (give) begin
      word_d                 = source[Columns-1:0];
      fill_d                 = '{valid: !run.weights, region: run.region, address: run.address};
      weight_valid_d         = run.weights;
      weight_fault_d         = run.weights && error;
      fault_d.valid          = error && !run.weights && run.region != RegionResident;
      fault_d.head           = run.head;
      fill_error_d           = error && !run.weights && run.region == RegionResident;
      runs_d[head_q].address = run.address + 1'b1;
      runs_d[head_q].words   = run.words - 1'b1;
      if (run.words == 16'd1) begin
        runs_d[head_q].valid = 1'b0;
        head_d               = head_q + 1'b1;
      end
    end
    if (hold_left_d != '0) begin
      hold_error_d = error;
      hold_d       = give ? source >> (8 * WordBytes) : source;
    end

    activity_d.busy    = working_i || run.valid || fill_q.valid || weight_valid_q;
    activity_d.blocked = !advance || waits_i;
    activity_d.starved = run.valid && !held && !word_i.valid && !activity_d.blocked;
    activity_d.index   = run.valid ? run.index : index_i;
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      for (int unsigned i = 0; i < Slots; i++) runs_q[i] <= '0;
      head_q         <= '0;
      tail_q         <= '0;
      hold_left_q    <= '0;
      hold_error_q   <= '0;
      hold_q         <= '0;
      fill_q         <= '0;
      weight_valid_q <= '0;
      weight_fault_q <= '0;
      word_q         <= '0;
      fault_q        <= '0;
      fill_error_q   <= '0;
      activity_q     <= '0;
    end else begin
      for (int unsigned i = 0; i < Slots; i++) runs_q[i] <= runs_d[i];
      head_q         <= head_d;
      tail_q         <= tail_d;
      hold_left_q    <= hold_left_d;
      hold_error_q   <= hold_error_d;
      hold_q         <= hold_d;
      fill_q         <= fill_d;
      weight_valid_q <= weight_valid_d;
      weight_fault_q <= weight_fault_d;
      word_q         <= word_d;
      fault_q        <= fault_d;
      fill_error_q   <= fill_error_d;
      activity_q     <= activity_d;
    end
  end

  assign run_ready_o    = !runs_q[tail_q].valid;
  assign word_ready_o   = run.valid && !held;
  assign fill_o         = fill_q;
  assign fill_data_o    = word_q;
  assign weight_valid_o = weight_valid_q;
  assign weight_o       = word_q;
  assign weight_fault_o = weight_fault_q;
  assign fault_o        = fault_q;
  assign fill_error_o   = fill_error_q;
  assign activity_o     = activity_q;

  `TANDEM_INVARIANT(INV_DISTRIBUTOR_1, !run.valid || run.words != '0)
  `TANDEM_INVARIANT(INV_DISTRIBUTOR_2, !held || run.valid)
  `TANDEM_INVARIANT(INV_DISTRIBUTOR_3, !(word_i.valid && run.valid && !held) ||
                    word_i.last == (run.words <= 16'(Parts)))
  `TANDEM_INVARIANT(INV_DISTRIBUTOR_4, !(fill_q.valid && weight_valid_q))

endmodule : stream_distributor
