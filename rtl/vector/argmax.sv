// SPDX-License-Identifier: Apache-2.0
// The largest of every unit's features, and which it is: a tree over the 16 floats of a word, then the best of the unit so
// far. Values are compared as binary32 numbers, -0 equals +0, exponent field 255 is read as any other; of equal ones the
// lowest feature counts, in whatever order words come. One word per cycle, in the result 5 cycles later. Exact.
`include "tandem_assert.svh"

module argmax
  import tandem_pkg::*;
#(
  localparam int unsigned Levels    = $clog2(GroupFloats),
  localparam int unsigned LaneBits  = Levels,
  localparam int unsigned GroupBits = FeatureBits - LaneBits
) (
  input  logic                             clk_i,
  input  logic                             rst_ni,
  input  logic                             clear_i,  // forgets all units
  input  logic         [FeatureBits-1:0]   count_i,  // features of a unit; those beyond do not count
  input  vector_word_t                     word_i,
  input  logic  [GroupFloats-1:0][31:0]    a_i,
  output logic                             busy_o,   // words are in the tree
  output logic  [2*VectorUnits-1:0][31:0]  result_o  // by unit: which feature, then its value; 0 without any
);

  typedef struct packed {
    logic                valid;
    logic [LaneBits-1:0] lane;
    logic         [31:0] value;
  } candidate_t;

  typedef struct packed {
    logic                 valid;
    logic           [2:0] unit;
    logic [GroupBits-1:0] group;
  } tag_t;

  // By level of the tree, the leaves first.
  candidate_t   [GroupFloats/2-1:0] eight_d, eight_q;
  candidate_t   [GroupFloats/4-1:0] four_d, four_q;
  candidate_t   [GroupFloats/8-1:0] two_d, two_q;
  candidate_t                       one_d, one_q;
  tag_t         [Levels-1:0]        tag_d, tag_q;  // element 0 belongs to eight_q
  // By unit.
  logic [VectorUnits-1:0]                  seen_d, seen_q;
  logic [VectorUnits-1:0][FeatureBits-1:0] index_d, index_q;
  logic [VectorUnits-1:0][31:0]            value_d, value_q;

  // Rises with the number; the same for both zeros.
  function automatic logic [31:0] rank(input logic [31:0] value);
    if (value[30:0] == '0) return 32'h8000_0000;
    return value[31] ? ~value : {1'b1, value[30:0]};
  endfunction

  // The better of two, of equal ones `a`.
  function automatic candidate_t better(input candidate_t a, input candidate_t b);
    return b.valid && (!a.valid || rank(b.value) > rank(a.value)) ? b : a;
  endfunction

  logic unused_word;
  assign unused_word = ^{word_i.hi, word_i.hold};

  candidate_t [GroupFloats-1:0] leaves;
  always_comb begin
    for (int unsigned l = 0; l < GroupFloats; l++) begin
      leaves[l] = '{
        valid: {word_i.group, LaneBits'(l)} < count_i,
        lane: LaneBits'(l),
        value: a_i[l]
      };
    end
  end

  // A level moves only when it has a word.
  always_comb begin
    eight_d = eight_q;
    four_d  = four_q;
    two_d   = two_q;
    one_d   = one_q;
    tag_d   = tag_q;
    for (int unsigned i = 0; i < Levels; i++) tag_d[i].valid = i == 0 ? word_i.valid : tag_q[i-1].valid;
    if (word_i.valid) begin
      tag_d[0] = '{valid: 1'b1, unit: word_i.unit, group: word_i.group};
      for (int unsigned i = 0; i < GroupFloats / 2; i++) eight_d[i] = better(leaves[2*i], leaves[2*i+1]);
    end
    if (tag_q[0].valid) begin
      tag_d[1] = tag_q[0];
      for (int unsigned i = 0; i < GroupFloats / 4; i++) four_d[i] = better(eight_q[2*i], eight_q[2*i+1]);
    end
    if (tag_q[1].valid) begin
      tag_d[2] = tag_q[1];
      for (int unsigned i = 0; i < GroupFloats / 8; i++) two_d[i] = better(four_q[2*i], four_q[2*i+1]);
    end
    if (tag_q[2].valid) begin
      tag_d[3] = tag_q[2];
      one_d    = better(two_q[0], two_q[1]);
    end
  end

  // The best of a word against the best of its unit.
  tag_t                   found;
  logic [FeatureBits-1:0] feature;
  logic                   above, same, wins;
  assign found   = tag_q[Levels-1];
  assign feature = {found.group, one_q.lane};
  assign above   = rank(one_q.value) > rank(value_q[found.unit]);
  assign same    = rank(one_q.value) == rank(value_q[found.unit]);
  assign wins    = found.valid && one_q.valid &&
                   (!seen_q[found.unit] || above || (same && feature < index_q[found.unit]));
  always_comb begin
    seen_d  = seen_q;
    index_d = index_q;
    value_d = value_q;
    if (wins) begin
      seen_d[found.unit]  = 1'b1;
      index_d[found.unit] = feature;
      value_d[found.unit] = one_q.value;
    end
    if (clear_i) begin
      seen_d  = '0;
      index_d = '0;
      value_d = '0;
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      eight_q <= '0;
      four_q  <= '0;
      two_q   <= '0;
      one_q   <= '0;
      tag_q   <= '0;
      seen_q  <= '0;
      index_q <= '0;
      value_q <= '0;
    end else begin
      eight_q <= eight_d;
      four_q  <= four_d;
      two_q   <= two_d;
      one_q   <= one_d;
      tag_q   <= tag_d;
      seen_q  <= seen_d;
      index_q <= index_d;
      value_q <= value_d;
    end
  end

  always_comb begin
    busy_o = 1'b0;
    for (int unsigned i = 0; i < Levels; i++) busy_o = busy_o || tag_q[i].valid;
    for (int unsigned u = 0; u < VectorUnits; u++) begin
      result_o[u]             = 32'(index_q[u]);
      result_o[VectorUnits+u] = value_q[u];
    end
  end

  `TANDEM_INVARIANT(INV_ARGMAX_1, !clear_i || (!busy_o && !word_i.valid))
  `TANDEM_INVARIANT(INV_ARGMAX_2, !word_i.valid || count_i != '0)

endmodule : argmax
