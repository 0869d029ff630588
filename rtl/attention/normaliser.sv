// SPDX-License-Identifier: Apache-2.0
// Divides a head's accumulators by its denominators: numerator x RNE(1 / denominator), rounded to binary32 once.
//
// `head_end_i` in cycle t; the denominators are taken in t + Wait, their reciprocals are there in t + Wait + 19. As
// soon as there is room, all accumulators of the head are read, one address a cycle for all rows; the result of a read
// in cycle k is there in k + 7. Two heads may be pending: the second one's denominators and reciprocals are worked on
// while the first one's accumulators are read. For that a read waits one cycle: the denominators take its adder.
// Grouped heads (FP4, head of 64, two segments) have a sum in each segment: groups are added, group 0 first.
`include "tandem_assert.svh"

module normaliser
  import tandem_pkg::*;
#(
  parameter int unsigned Rows,
  parameter int unsigned Segments,
  // Cycles from the end of a head to its last denominator, with those of the accumulators to spare.
  localparam int unsigned Wait = 20 + Rows + 2 * FloatLatency * (Segments - 1)
) (
  input  logic                                  clk_i,
  input  logic                                  rst_ni,
  input  tile_sum_t [Rows-1:0][Segments-1:0]    tile_sum_i,
  input  head_end_t                             head_end_i,
  input  logic      [Rows-1:0]                  rows_i,
  output acc_read_t                             acc_read_o,
  input  float_t    [Rows-1:0]                  acc_data_i,
  input  logic                                  out_ready_i,
  output attended_t                             attended_o,
  output logic      [Rows-1:0][31:0]            values_o,
  output head_end_t                             head_done_o,
  input  logic                                  clear_flags_i,
  output normaliser_flags_t [Rows-1:0]          flags_o
);

  if (Segments > 2) begin : gen_unsupported
    $error("normaliser: a head of more than two groups is not supported");
  end

  typedef enum logic [1:0] {
    StateWait   = 2'd0,  // for a head and its denominators
    StateTotal  = 2'd1,  // groups are added
    StateDivide = 2'd2   // reciprocals; then for room and the reads of the head before
  } state_e;

  localparam int unsigned WaitBits = 7;
  localparam int unsigned Add      = 0;                     // stage of `attended_q` beside the adders' inputs
  localparam int unsigned Last     = Add + FloatLatency + 2;  // beside the results

  // ---- heads whose reads have not begun: entry 0 is worked on ----
  head_end_t                 pending_d[2], pending_q[2];
  logic [1:0][Rows-1:0]      rows_d, rows_q;
  logic       [WaitBits-1:0] wait_d[2], wait_q[2];
  logic                      take;
  always_comb begin
    rows_d = rows_q;
    for (int unsigned i = 0; i < 2; i++) begin
      pending_d[i] = pending_q[i];
      wait_d[i]    = wait_q[i] == '0 ? '0 : wait_q[i] - WaitBits'(1);
    end
    if (take) begin
      pending_d[0] = pending_d[1];
      rows_d[0]    = rows_d[1];
      wait_d[0]    = wait_d[1];
      pending_d[1] = '0;
      rows_d[1]    = '0;
      wait_d[1]    = '0;
    end
    if (head_end_i.valid) begin
      if (!pending_d[0].valid) begin
        pending_d[0] = head_end_i;
        rows_d[0]    = rows_i;
        wait_d[0]    = WaitBits'(Wait - 1);
      end else begin
        pending_d[1] = head_end_i;
        rows_d[1]    = rows_i;
        wait_d[1]    = WaitBits'(Wait - 1);
      end
    end
  end

  // ---- steps up to the reads ----
  state_e           state_d, state_q;
  logic       [1:0] count_d, count_q;
  head_end_t        head;
  logic             grouped, ready, add_busy, begin_total, hold, start, last_read;
  logic [Rows-1:0]  done;
  head_end_t        reading_d, reading_q;
  always_comb begin
    head    = pending_q[0];
    grouped = Segments == 2 && !head.int8 && !head.wide;
    ready   = state_q == StateWait && head.valid && wait_q[0] == '0;
    // No numerators are at the adders in the cycle after a read that waits.
    hold        = ready && add_busy;
    begin_total = ready && !add_busy;
  end
  always_comb begin
    state_d = state_q;
    count_d = count_q;
    start   = 1'b0;
    take    = 1'b0;
    case (state_q)
      StateWait: begin
        if (begin_total) begin
          count_d = 2'(FloatLatency - 1);
          state_d = StateTotal;
        end
      end
      StateTotal: begin
        if (count_q == '0) begin
          start   = 1'b1;
          state_d = StateDivide;
        end else begin
          count_d = count_q - 2'd1;
        end
      end
      default: begin  // StateDivide
        if (&done && out_ready_i && (!reading_q.valid || last_read)) begin
          take    = 1'b1;
          state_d = StateWait;
        end
      end
    endcase
  end

  // ---- reads of the head before, in the order of the results ----
  logic [6:0] read_d, read_q;
  logic       reading, groups_read;
  logic [1:0] read_block;
  logic [4:0] read_lane;
  logic       read_segment, read_chain, read_part;
  always_comb begin
    groups_read = Segments == 2 && !reading_q.int8 && !reading_q.wide;
    reading     = reading_q.valid && !hold;
    last_read   = reading && read_q == (groups_read || reading_q.wide ? 7'd127 : 7'd63);
    {read_block, read_lane} = read_q;
    read_part = 1'b0;
    if (Segments == 1) begin
      read_segment            = 1'b0;
      {read_part, read_chain} = read_block;
    end else if (groups_read) begin
      {read_block, read_lane, read_segment} = {1'b0, read_q};
      read_chain                            = read_block[0];
    end else if (reading_q.int8) begin
      {read_chain, read_segment} = read_block;
    end else begin
      {read_segment, read_chain} = read_block;
    end
    acc_read_o = '0;
    if (reading) begin
      acc_read_o.valid   = 1'b1;
      acc_read_o.segment = 2'(read_segment);
      acc_read_o.chain   = read_chain;
      acc_read_o.address = chain_parts(Segments) == 1 ? {1'b0, reading_q.acc_bank, read_lane}
                                                      : {reading_q.acc_bank, read_part, read_lane};
    end
  end
  always_comb begin
    read_d    = reading ? read_q + 7'd1 : read_q;
    reading_d = last_read ? '0 : reading_q;
    if (take) begin
      read_d    = '0;
      reading_d = head;
    end
  end

  // ---- what goes with the data ----
  attended_t attended_d;
  attended_t attended_q[Last+1];
  logic      grouped_d, grouped_q;  // beside attended_q[Add]
  head_end_t done_head;
  logic      copy;                  // the first numerators of a head are about to leave the adders
  always_comb begin
    attended_d = '0;
    grouped_d  = 1'b0;
    done_head  = '0;
    if (reading) begin
      grouped_d        = groups_read;
      attended_d.valid = !groups_read || read_segment;
      attended_d.last  = last_read;
      attended_d.head  = reading_q.head;
      attended_d.block = read_block;
      attended_d.lane  = read_lane;
    end
    if (last_read) done_head = reading_q;
  end
  assign add_busy = attended_q[Add].valid;

  delay_line #(
    .Width($bits(head_end_t)),
    .Depth(Last + 2)
  ) u_done (
    .clk_i,
    .rst_ni,
    .data_i(done_head),
    .data_o(head_done_o)
  );

  delay_line #(
    .Width(1),
    .Depth(Add + FloatLatency)
  ) u_first (
    .clk_i,
    .rst_ni,
    .data_i(reading && read_q == '0),
    .data_o(copy)
  );

  // ---- denominators ----
  float_t [1:0][Rows-1:0] denominator[Segments];
  for (genvar s = 0; s < Segments; s++) begin : gen_segment
    tile_sum_t [Rows-1:0] tile_sum;
    always_comb begin
      for (int unsigned r = 0; r < Rows; r++) tile_sum[r] = tile_sum_i[r][s];
    end
    denominator #(
      .Rows(Rows)
    ) u_denominator (
      .clk_i,
      .rst_ni,
      .tile_sum_i   (tile_sum),
      .denominator_o(denominator[s])
    );
  end

  // ---- rows ----
  float_t            [Rows-1:0] held_d, held_q;  // accumulators read in the cycle before last: group 0's
  normaliser_flags_t [Rows-1:0] flags_d, flags_q;
  logic              [Rows-1:0] empty, overflow;
  // Reciprocals of the head whose numerators leave the adders; the dividers are free for the next one's.
  float_t            [Rows-1:0] inverse_d, inverse_q;
  assign held_d = acc_data_i;

  for (genvar r = 0; r < Rows; r++) begin : gen_row
    float_t add_a, add_b, total, divided;
    logic   unused_saturated;
    always_comb begin
      add_a = '0;
      add_b = '0;
      if (begin_total) begin
        add_a = denominator[0][head.acc_bank][r];
        if (grouped) add_b = denominator[Segments-1][head.acc_bank][r];
      end else if (attended_q[Add].valid) begin
        add_a = grouped_q ? held_q[r] : acc_data_i[r];
        if (grouped_q) add_b = acc_data_i[r];
      end
      empty[r] = start && rows_q[0][r] && total == '0;
    end
    float_add u_add (
      .clk_i,
      .rst_ni,
      .a_i        (add_a),
      .b_i        (add_b),
      .sum_o      (total),
      .saturated_o(unused_saturated)
    );
    assign inverse_d[r] = copy ? divided : inverse_q[r];
    reciprocal u_reciprocal (
      .clk_i,
      .rst_ni,
      .start_i (start),
      .value_i (rows_q[0][r] ? total : '0),
      .done_o  (done[r]),
      .result_o(divided)
    );
    float_multiply #(
      .CodeBits(Binary32CodeBits),
      .Bias    (Binary32Bias),
      .Most    (Binary32Most)
    ) u_multiply (
      .clk_i,
      .rst_ni,
      .a_i        (total),
      .b_i        (attended_q[Add+FloatLatency].valid ? inverse_q[r] : '0),
      .product_o  (values_o[r]),
      .saturated_o(overflow[r])
    );
  end

  // ---- flags ----
  always_comb begin
    for (int unsigned r = 0; r < Rows; r++) begin
      flags_d[r] = clear_flags_i ? '0 : flags_q[r];
      flags_d[r].empty    |= empty[r];
      flags_d[r].overflow |= overflow[r];
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q   <= StateWait;
      count_q   <= '0;
      read_q    <= '0;
      grouped_q <= '0;
      held_q    <= '0;
      inverse_q <= '0;
      reading_q <= '0;
      flags_q   <= '0;
      rows_q    <= '0;
      for (int unsigned i = 0; i < 2; i++) begin
        pending_q[i] <= '0;
        wait_q[i]    <= '0;
      end
      for (int unsigned i = 0; i <= Last; i++) attended_q[i] <= '0;
    end else begin
      state_q   <= state_d;
      count_q   <= count_d;
      read_q    <= read_d;
      grouped_q <= grouped_d;
      held_q    <= held_d;
      inverse_q <= inverse_d;
      reading_q <= reading_d;
      flags_q   <= flags_d;
      rows_q    <= rows_d;
      for (int unsigned i = 0; i < 2; i++) begin
        pending_q[i] <= pending_d[i];
        wait_q[i]    <= wait_d[i];
      end
      attended_q[0] <= attended_d;
      for (int unsigned i = 1; i <= Last; i++) attended_q[i] <= attended_q[i-1];
    end
  end

  assign attended_o = attended_q[Last];
  assign flags_o    = flags_q;

  // Two heads at most, in different banks.
  `TANDEM_INVARIANT(INV_NORMALISER_1,
                    !(head_end_i.valid && pending_q[0].valid && (pending_q[1].valid || reading_q.valid)))
  `TANDEM_INVARIANT(INV_NORMALISER_2,
                    !(head_end_i.valid && pending_q[0].valid && head_end_i.acc_bank == pending_q[0].acc_bank))
  `TANDEM_INVARIANT(INV_NORMALISER_3,
                    !(head_end_i.valid && reading_q.valid && head_end_i.acc_bank == reading_q.acc_bank))

endmodule : normaliser
