// SPDX-License-Identifier: Apache-2.0
// Brings a session up, watches it, takes it down, and counts what happens on the way.
// Both ends send nonces; an end that hears its own back knows that the peer knows it, and both make the same epoch of the
// two. Whoever hears nothing for LossTimeout cycles, or a peer that begins anew, begins anew, too.
`include "tandem_assert.svh"

module link_control
  import tandem_pkg::*;
(
  input  logic                          clk_i,
  input  logic                          rst_ni,
  input  logic                          enable_i,
  input  logic       [SequenceBits-1:0] nonce_i,
  input  flit_t                         flit_i,
  input  logic                          take_i,         // the transmitter takes a flit
  input  logic                          drained_i,      // nothing is left to be sent or acknowledged
  input  logic                          asked_i,        // events to count
  input  logic                          replayed_i,
  input  logic       [LinkChannels-1:0] stalled_i,
  output link_state_e                   state_o,
  output flit_kind_e                    kind_o,         // of flits without data
  output logic                    [7:0] epoch_o,
  output logic       [SequenceBits-1:0] nonce_o,        // of this end
  output logic                          heard_o,        // the peer's is known
  output logic       [SequenceBits-1:0] heard_nonce_o,
  output logic                          send_o,         // data flits may go
  output logic                          accept_o,       // new words may come in
  output logic                          receive_o,      // flits of the session are listened to
  output logic                          clear_o,
  output logic                          realign_o,
  output flit_t                         peer_o,         // flit_i when it is good and of the session
  output logic                   [31:0] crc_errors_o,
  output logic                   [31:0] asks_o,
  output logic                   [31:0] replays_o,
  output logic [LinkChannels-1:0][31:0] stalls_o,
  output logic                   [31:0] losses_o,
  output logic                   [31:0] sessions_o
);

  // Close flits that are sent when all is said: the peer hears one of them unless all are bad.
  localparam int unsigned Farewells = 4;
  localparam int unsigned TimerBits = $clog2(LossTimeout);

  link_state_e                   state_d, state_q;
  logic       [SequenceBits-1:0] nonce_d, nonce_q;
  logic                          heard_d, heard_q;
  logic       [SequenceBits-1:0] heard_nonce_d, heard_nonce_q;
  logic                    [7:0] epoch_d, epoch_q;
  logic          [TimerBits-1:0] timer_d, timer_q;          // cycles without a good flit
  logic                          alternate_d, alternate_q;  // Ready: the next flit is an init flit
  logic                          closed_d, closed_q;        // the peer has nothing left
  logic                    [2:0] farewells_d, farewells_q;
  logic                   [31:0] crc_errors_d, crc_errors_q;
  logic                   [31:0] asks_d, asks_q;
  logic                   [31:0] replays_d, replays_q;
  logic [LinkChannels-1:0][31:0] stalls_d, stalls_q;
  logic                   [31:0] losses_d, losses_q;
  logic                   [31:0] sessions_d, sessions_q;

  function automatic logic [31:0] counted(logic [31:0] count, logic event_seen);
    return count + 32'(event_seen && count != '1);
  endfunction

  // What is heard.
  logic init, answered, ours, expired;
  assign init      = flit_i.valid && flit_i.good && flit_i.header.kind == FlitInit;
  assign answered  = flit_i.header.nak && flit_i.header.ack == nonce_q;
  assign ours      = answered && flit_i.header.number == heard_nonce_q;
  assign expired   = timer_q == TimerBits'(LossTimeout - 1);
  assign receive_o = state_q == LinkReady || state_q == LinkUp || state_q == LinkClosing;
  always_comb begin
    peer_o       = flit_i;
    peer_o.valid = flit_i.valid && flit_i.good && flit_i.header.kind != FlitInit && receive_o;
  end

  logic over, lost, came_up;
  assign over    = (init && !ours) || expired;
  assign lost    = over && (state_q == LinkUp || (state_q == LinkClosing && !drained_i));
  assign came_up = state_q == LinkReady && state_d == LinkUp;

  always_comb begin
    state_d       = state_q;
    nonce_d       = nonce_q;
    heard_d       = heard_q;
    heard_nonce_d = heard_nonce_q;
    epoch_d       = epoch_q;
    alternate_d   = alternate_q;
    closed_d      = closed_q;
    farewells_d   = farewells_q;

    unique case (state_q)
      LinkInit: begin
        if (init) begin
          heard_d       = 1'b1;
          heard_nonce_d = flit_i.header.number;
          if (answered) begin
            state_d = LinkReady;
            epoch_d = {nonce_q ^ flit_i.header.number, 1'b1};
          end
        end
        if (!enable_i) state_d = LinkDown;
      end
      LinkReady: begin
        if (take_i) alternate_d = !alternate_q;
        // Not wanted any more: the peer may be up and have taken words in, so the session comes up and is closed.
        if (peer_o.valid) state_d = LinkUp;
        if (over) state_d = LinkDown;
      end
      LinkUp: begin
        if (peer_o.valid && peer_o.header.kind == FlitClose) closed_d = 1'b1;
        if (closed_d || !enable_i) state_d = LinkClosing;
        if (over) state_d = LinkDown;
      end
      LinkClosing: begin
        if (peer_o.valid && peer_o.header.kind == FlitClose) closed_d = 1'b1;
        if (closed_q && drained_i && take_i) farewells_d = farewells_q + 1'b1;
        if (over || farewells_q == 3'(Farewells)) state_d = LinkDown;
      end
      default: begin  // LinkDown
        if (enable_i) begin
          state_d = LinkInit;
          nonce_d = nonce_i;
        end
      end
    endcase
    if (state_d == LinkDown) begin
      heard_d     = 1'b0;
      epoch_d     = '0;
      alternate_d = 1'b0;
      closed_d    = 1'b0;
      farewells_d = '0;
    end

    timer_d = expired ? '0 : timer_q + 1'b1;
    if (init || peer_o.valid || state_q == LinkDown) timer_d = '0;

    crc_errors_d = counted(crc_errors_q, receive_o && flit_i.valid && !flit_i.good);
    asks_d       = counted(asks_q, asked_i);
    replays_d    = counted(replays_q, replayed_i);
    for (int unsigned c = 0; c < LinkChannels; c++) stalls_d[c] = counted(stalls_q[c], stalled_i[c]);
    losses_d     = counted(losses_q, lost);
    sessions_d   = counted(sessions_q, came_up);
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q       <= LinkDown;
      nonce_q       <= '0;
      heard_q       <= '0;
      heard_nonce_q <= '0;
      epoch_q       <= '0;
      timer_q       <= '0;
      alternate_q   <= '0;
      closed_q      <= '0;
      farewells_q   <= '0;
      crc_errors_q  <= '0;
      asks_q        <= '0;
      replays_q     <= '0;
      stalls_q      <= '0;
      losses_q      <= '0;
      sessions_q    <= '0;
    end else begin
      state_q       <= state_d;
      nonce_q       <= nonce_d;
      heard_q       <= heard_d;
      heard_nonce_q <= heard_nonce_d;
      epoch_q       <= epoch_d;
      timer_q       <= timer_d;
      alternate_q   <= alternate_d;
      closed_q      <= closed_d;
      farewells_q   <= farewells_d;
      crc_errors_q  <= crc_errors_d;
      asks_q        <= asks_d;
      replays_q     <= replays_d;
      stalls_q      <= stalls_d;
      losses_q      <= losses_d;
      sessions_q    <= sessions_d;
    end
  end

  always_comb begin
    unique case (state_q)
      LinkInit:    kind_o = FlitInit;
      LinkReady:   kind_o = alternate_q ? FlitInit : FlitReady;
      LinkClosing: kind_o = drained_i ? FlitClose : FlitIdle;
      default:     kind_o = FlitIdle;
    endcase
  end
  assign state_o       = state_q;
  assign epoch_o       = epoch_q;
  assign nonce_o       = nonce_q;
  assign heard_o       = heard_q;
  assign heard_nonce_o = heard_nonce_q;
  assign send_o        = state_q == LinkUp || state_q == LinkClosing;
  assign accept_o      = state_q == LinkUp;
  assign clear_o       = state_q == LinkDown;
  assign realign_o     = state_q == LinkDown || (state_q == LinkInit && expired);
  assign crc_errors_o  = crc_errors_q;
  assign asks_o        = asks_q;
  assign replays_o     = replays_q;
  assign stalls_o      = stalls_q;
  assign losses_o      = losses_q;
  assign sessions_o    = sessions_q;

  // An epoch is odd in a session and 0 outside; flits sent in LinkDown have another one (link_tx).
  `TANDEM_INVARIANT(INV_CONTROL_1, epoch_q[0] == receive_o)

endmodule : link_control
