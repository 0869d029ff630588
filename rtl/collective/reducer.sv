// SPDX-License-Identifier: Apache-2.0
// Adds two words of WordFloats floats, lane by lane. Latency FloatLatency = 4 cycles, one word a cycle, no stalls; the
// tag travels along. A lane whose exponent is 0 counts as zero, whatever its other bits. One rounding per lane.
module reducer
  import tandem_pkg::*;
#(
  parameter int unsigned TagBits
) (
  input  logic                          clk_i,
  input  logic                          rst_ni,
  input  logic                          valid_i,
  input  logic            [TagBits-1:0] tag_i,
  input  logic [LinkWordBytes-1:0][7:0] running_i,   // the sum so far
  input  logic [LinkWordBytes-1:0][7:0] term_i,      // what is added to it
  output logic                          valid_o,
  output logic            [TagBits-1:0] tag_o,
  output logic [LinkWordBytes-1:0][7:0] word_o,
  output logic                          saturated_o  // a lane of word_o was clamped
);

  localparam int unsigned WordBits   = 8 * LinkWordBytes;
  localparam int unsigned FloatBits  = $bits(float_t);
  localparam int unsigned UnusedBits = WordBits - WordFloats * FloatBits;

  float_t [WordFloats-1:0] running, term, total;
  logic   [UnusedBits-1:0] running_rest, term_rest;
  logic   [WordFloats-1:0] clamped;
  assign {running_rest, running} = running_i;
  assign {term_rest, term}       = term_i;

  logic unused_rest;
  assign unused_rest = ^{running_rest, term_rest};

  function automatic float_t canonical(input float_t value);
    return value.exponent == '0 ? '0 : value;
  endfunction

  for (genvar k = 0; k < WordFloats; k++) begin : gen_lane
    float_add u_add (
      .clk_i,
      .rst_ni,
      .a_i        (canonical(running[k])),
      .b_i        (canonical(term[k])),
      .sum_o      (total[k]),
      .saturated_o(clamped[k])
    );
  end

  delay_line #(
    .Width(1 + TagBits),
    .Depth(FloatLatency)
  ) u_tag (
    .clk_i,
    .rst_ni,
    .data_i({valid_i, tag_i}),
    .data_o({valid_o, tag_o})
  );

  assign word_o      = {UnusedBits'(0), total};
  assign saturated_o = valid_o && clamped != '0;

endmodule : reducer
