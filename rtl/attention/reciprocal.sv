// SPDX-License-Identifier: Apache-2.0
// Serial reciprocal of a float: 1 / value, rounded once to nearest even (docs/numerics.md, "Division"); of 0 it is 0.
//
// Two quotient bits a cycle, by restoring division. `start_i` in cycle n: `done_o` is low from n + 1 on and `result_o`
// is there with `done_o` in n + 15. It stays, also while the next value is divided, until that one is done.
`include "tandem_assert.svh"

module reciprocal
  import tandem_pkg::*;
(
  input  logic   clk_i,
  input  logic   rst_ni,
  input  logic   start_i,
  input  float_t value_i,
  output logic   done_o,
  output float_t result_o
);

  localparam int unsigned SigBits      = FractionBits + 1;  // with the hidden bit
  localparam int unsigned BitsPerCycle = 2;
  // One bit that only a power of two sets, the significand, and the bit that rounds.
  localparam int unsigned QuotientBits = SigBits + 2;
  localparam int unsigned Divide       = QuotientBits / BitsPerCycle;  // cycles

  float_t                  value_d, value_q, result_d, result_q;
  logic [SigBits-1:0]      remainder_d, remainder_q;
  logic [QuotientBits-1:0] quotient_d, quotient_q;
  logic [3:0]              count_d, count_q;  // cycles left: Divide for the quotient, one to round

  // ---- quotient: 2^49 / significand, most significant bit first ----
  logic [SigBits-1:0] divisor;
  logic [SigBits:0]   doubled;
  always_comb begin
    value_d     = value_q;
    remainder_d = remainder_q;
    quotient_d  = quotient_q;
    count_d     = count_q;
    divisor     = {value_q.exponent != '0, value_q.fraction};
    doubled     = '0;
    if (start_i) begin
      value_d     = value_i;
      remainder_d = SigBits'(1) << (FractionBits - 1);
      quotient_d  = '0;
      count_d     = 4'(Divide + 1);
    end else begin
      if (count_q != '0) count_d = count_q - 4'd1;
      if (count_q > 4'd1) begin
        for (int unsigned i = 0; i < BitsPerCycle; i++) begin
          doubled     = {remainder_d, 1'b0};
          quotient_d  = {quotient_d[QuotientBits-2:0], doubled >= {1'b0, divisor}};
          remainder_d = SigBits'(doubled >= {1'b0, divisor} ? doubled - {1'b0, divisor} : doubled);
        end
      end
    end
  end

  // ---- rounding: never a tie, never a carry ----
  //   power of two:  1000000000000000000000000 0
  //   other:         01fffffffffffffffffffffff h   (26 bits: zero, 24 kept, half)
  logic [SigBits-1:0] rounded;
  always_comb begin
    rounded  = quotient_q[SigBits:1] + SigBits'(quotient_q[0]);
    result_d = result_q;
    if (count_q == 4'd1 && !start_i) begin
      result_d.sign     = 1'b0;
      result_d.exponent = '0 - value_q.exponent;
      result_d.fraction = '0;
      if (!quotient_q[QuotientBits-1]) begin
        result_d.exponent = '1 - value_q.exponent;
        result_d.fraction = rounded[FractionBits-1:0];
      end
      // 1 / 0, and a result below the smallest float.
      if (value_q.exponent == '0 || result_d.exponent == '0) result_d = '0;
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      value_q     <= '0;
      remainder_q <= '0;
      quotient_q  <= '0;
      count_q     <= '0;
      result_q    <= '0;
    end else begin
      value_q     <= value_d;
      remainder_q <= remainder_d;
      quotient_q  <= quotient_d;
      count_q     <= count_d;
      result_q    <= result_d;
    end
  end

  assign done_o   = count_q == '0;
  assign result_o = result_q;

  logic unused_hidden;
  assign unused_hidden = rounded[FractionBits];

  // A sum of p is never negative.
  `TANDEM_INVARIANT(INV_RECIPROCAL_1, !(start_i && value_i.sign))

endmodule : reciprocal
