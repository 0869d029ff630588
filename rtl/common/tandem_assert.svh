// SPDX-License-Identifier: Apache-2.0
// Invariants, active in simulation. `id` is the name on the block's page, with underscores.
`ifndef TANDEM_ASSERT_SVH
`define TANDEM_ASSERT_SVH

`define TANDEM_INVARIANT(id, expr) \
  id : assert property (@(posedge clk_i) disable iff (!rst_ni) (expr)) else $error(`"id`");

`endif
