// SPDX-License-Identifier: Apache-2.0
// Which tokens are pending: those of a command from its dispatch until it is done.
`include "tandem_assert.svh"

module scoreboard
  import tandem_pkg::*;
(
  input  logic                        clk_i,
  input  logic                        rst_ni,
  input  logic [ScoreboardTokens-1:0] take_i,     // none of them pending
  input  logic [ScoreboardTokens-1:0] release_i,
  output logic [ScoreboardTokens-1:0] pending_o
);

  logic [ScoreboardTokens-1:0] pending_d, pending_q;

  assign pending_d = (pending_q & ~release_i) | take_i;

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      pending_q <= '0;
    end else begin
      pending_q <= pending_d;
    end
  end

  assign pending_o = pending_q;

  `TANDEM_INVARIANT(INV_SCOREBOARD_1, (take_i & pending_q) == '0)

endmodule : scoreboard
