// SPDX-License-Identifier: Apache-2.0
// One direction of the link from link_tx to link_rx, without framer: delays flits by 0 to `Delay` flits, and lets flits
// through, makes them bad (then everything in them may be wrong) or drops them, as it likes.
module wire_of_flits
  import tandem_pkg::*;
#(
  parameter int unsigned Delay,
  parameter int unsigned GhostBits,
  localparam int unsigned IndexBits = $clog2(FlitWords)
) (
  input  logic                     clk_i,
  input  logic                     rst_ni,
  input  logic     [IndexBits-1:0] phase_i,          // 0: a flit is taken
  input  flit_header_t             header_i,         // in that cycle
  input  logic     [GhostBits-1:0] ghost_i,          // what link_properties.sv notes with it
  input  logic                     bit_i,            // of its words, in the cycles after
  input  logic                     good_i,           // what becomes of the flit that is taken
  input  logic                     dropped_i,
  input  logic               [1:0] wrong_channel_i,
  input  flit_header_t             wrong_header_i,
  input  logic                     wrong_bit_i,
  input  logic                     delayed_i,        // constant
  output logic                     word_valid_o,
  output logic     [IndexBits-1:0] word_index_o,
  output logic                     bit_o,
  output logic               [1:0] word_channel_o,
  output flit_t                    flit_o
);

  typedef struct packed {
    logic         dropped;
    logic         good;
    logic   [1:0] wrong_channel;
    logic [GhostBits-1:0] ghost;
    flit_header_t header;
  } fate_t;

  localparam int unsigned Stages = Delay + 2;

  // The flit that goes out, the ones on the wire, the one that has come.
  fate_t [Stages-1:0]              fates_q;
  logic  [FlitWords*Delay:0]       bits_q;
  logic  [FlitWords*Delay+1:0]     bits;
  assign bits = {bits_q, bit_i};
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      for (int unsigned s = 0; s < Stages; s++) fates_q[s] <= fate_t'({1'b1, {$bits(fate_t) - 1{1'b0}}});
      bits_q <= '0;
    end else begin
      if (phase_i == '0) begin
        fates_q <= {fates_q[Stages-2:0], fate_t'({dropped_i, good_i && !dropped_i, wrong_channel_i, ghost_i, header_i})};
      end
      bits_q <= bits[FlitWords*Delay:0];
    end
  end

  fate_t coming, come;
  assign coming = delayed_i ? fates_q[Delay] : fates_q[0];
  assign come   = delayed_i ? fates_q[Delay+1] : fates_q[1];

  assign word_index_o   = phase_i == '0 ? IndexBits'(FlitWords - 1) : phase_i - 1'b1;
  assign word_valid_o   = !coming.dropped;
  assign word_channel_o = coming.good ? coming.header.channel : coming.wrong_channel;
  assign bit_o          = (delayed_i ? bits[FlitWords*Delay] : bits[0]) ^ (!coming.good && wrong_bit_i);
  assign flit_o.valid   = !come.dropped && phase_i == IndexBits'(1);
  assign flit_o.good    = come.good;
  assign flit_o.header  = come.good ? come.header : wrong_header_i;

endmodule : wire_of_flits
