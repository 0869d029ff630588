// SPDX-License-Identifier: Apache-2.0
// Denominators of the rows of one segment: sums of p over the tiles of a head, one per row and accumulator bank.
//
// A tile sum in cycle n is in its denominator in cycle n + 7: the number (1), its float (1), one float adder (4), the
// register (1). One row a cycle; tile sums of one row and bank are at least 5 cycles apart. One rounding per tile.
`include "tandem_assert.svh"

module denominator
  import tandem_pkg::*;
#(
  parameter int unsigned Rows
) (
  input  logic                       clk_i,
  input  logic                       rst_ni,
  input  tile_sum_t [Rows-1:0]       tile_sum_i,
  output float_t    [1:0][Rows-1:0]  denominator_o
);

  // Control of one tile sum on its way through the adder.
  typedef struct packed {
    logic       valid;
    logic       acc_first;
    logic       acc_bank;
    logic [4:0] row;
  } sum_control_t;

  localparam int unsigned Add  = 1;                   // control stage beside the adder's inputs
  localparam int unsigned Last = Add + FloatLatency;

  // ---- number: the row whose turn it is ----
  block_sum_t      number_d, number_q;
  sum_control_t    control_d;
  sum_control_t    control_q[Last+1];
  logic [Rows-1:0] valid;
  always_comb begin
    number_d  = '0;
    control_d = '0;
    valid     = '0;
    for (int unsigned r = 0; r < Rows; r++) begin
      valid[r] = tile_sum_i[r].valid;
      if (tile_sum_i[r].valid) begin
        number_d.number     = 23'(tile_sum_i[r].number);
        number_d.exponent   = 13'(tile_sum_i[r].exponent);
        control_d.valid     = 1'b1;
        control_d.acc_first = tile_sum_i[r].acc_first;
        control_d.acc_bank  = tile_sum_i[r].acc_bank;
        control_d.row       = 5'(r);
      end
    end
  end

  // ---- float ----
  float_t float_d, float_q;
  logic   unused_convert_saturated;
  int_to_float u_float (
    .sum_i      (number_q),
    .value_o    (float_d),
    .saturated_o(unused_convert_saturated)
  );

  // ---- adder ----
  float_t [1:0][Rows-1:0] denominator_d, denominator_q;
  float_t                 stored, total;
  logic                   unused_add_saturated;
  always_comb begin
    stored        = '0;
    denominator_d = denominator_q;
    for (int unsigned r = 0; r < Rows; r++) begin
      if (control_q[Add].valid && !control_q[Add].acc_first && control_q[Add].row == 5'(r)) begin
        stored = denominator_q[control_q[Add].acc_bank][r];
      end
      if (control_q[Last].valid && control_q[Last].row == 5'(r)) begin
        denominator_d[control_q[Last].acc_bank][r] = total;
      end
    end
  end

  float_add u_add (
    .clk_i,
    .rst_ni,
    .a_i        (float_q),
    .b_i        (stored),
    .sum_o      (total),
    .saturated_o(unused_add_saturated)
  );

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      number_q      <= '0;
      float_q       <= '0;
      denominator_q <= '0;
      for (int unsigned i = 0; i <= Last; i++) control_q[i] <= '0;
    end else begin
      number_q      <= number_d;
      float_q       <= float_d;
      denominator_q <= denominator_d;
      control_q[0]  <= control_d;
      for (int unsigned i = 1; i <= Last; i++) control_q[i] <= control_q[i-1];
    end
  end

  assign denominator_o = denominator_q;

  // The rows are skewed: one adder serves them all.
  `TANDEM_INVARIANT(INV_DENOMINATOR_1, $onehot0(valid))

endmodule : denominator
