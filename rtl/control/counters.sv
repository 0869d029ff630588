// SPDX-License-Identifier: Apache-2.0
// Counts what the units do, what they wait for, and words and completions, in cycles or events since reset. The counter that
// is selected is read one cycle later.
module counters
  import tandem_pkg::*;
#(
  parameter int unsigned Width  // bits of a counter
) (
  input  logic                               clk_i,
  input  logic                               rst_ni,
  input  activity_t              [Units-1:0] activity_i,
  input  logic        [ScoreboardTokens-1:0] waiting_i,  // a command at the front of a queue waits for them
  input  logic                         [3:0] event_i,    // read for the stream, read else, written, completed
  input  logic     [CounterSelectBits-1:0]   select_i,
  output logic                        [63:0] counter_o
);

  // The counters' order, beginning with 1: three of every unit, four events; the tokens' begin with TokenBase.
  localparam int unsigned EventBase = 1 + 3 * Units;
  localparam int unsigned TokenBase = 32;

  logic            [3*Units-1:0][Width-1:0] unit_d, unit_q;
  logic                    [3:0][Width-1:0] event_d, event_q;
  logic [ScoreboardTokens-1:0][Width-1:0]   token_d, token_q;
  logic                        [63:0]       counter_d, counter_q;

  logic [Units-1:0][CommandIndexBits-1:0] unused_index;

  always_comb begin
    for (int unsigned u = 0; u < Units; u++) begin
      unit_d[3*u]     = unit_q[3*u] + Width'(activity_i[u].busy);
      unit_d[3*u+1]   = unit_q[3*u+1] + Width'(activity_i[u].starved);
      unit_d[3*u+2]   = unit_q[3*u+2] + Width'(activity_i[u].blocked);
      unused_index[u] = activity_i[u].index;
    end
    for (int unsigned e = 0; e < 4; e++) event_d[e] = event_q[e] + Width'(event_i[e]);
    for (int unsigned t = 0; t < ScoreboardTokens; t++) begin
      token_d[t] = token_q[t] + Width'(waiting_i[t]);
    end

    counter_d = '0;
    for (int unsigned n = 0; n < 3 * Units; n++) begin
      if (32'(select_i) == 1 + n) counter_d = 64'(unit_q[n]);
    end
    for (int unsigned e = 0; e < 4; e++) begin
      if (32'(select_i) == EventBase + e) counter_d = 64'(event_q[e]);
    end
    for (int unsigned t = 0; t < ScoreboardTokens; t++) begin
      if (32'(select_i) == TokenBase + t) counter_d = 64'(token_q[t]);
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      unit_q    <= '0;
      event_q   <= '0;
      token_q   <= '0;
      counter_q <= '0;
    end else begin
      unit_q    <= unit_d;
      event_q   <= event_d;
      token_q   <= token_d;
      counter_q <= counter_d;
    end
  end

  assign counter_o = counter_q;

endmodule : counters
