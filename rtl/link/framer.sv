// SPDX-License-Identifier: Apache-2.0
// Both directions of an endpoint's framing: a transmitter and a receiver of flits, with nothing between them.
// Latencies are those of flit_tx and flit_rx: on a wire without delay a flit is judged 7 cycles after it was taken.
module framer
  import tandem_pkg::*;
(
  input  logic                          clk_i,
  input  logic                          rst_ni,
  input  flit_request_t                 request_i,
  output logic                          take_o,
  output logic [$clog2(FlitWords)-1:0]  tx_word_index_o,
  input  logic [LinkWordBytes-1:0][7:0] tx_word_i,
  output logic [LinkWordBytes-1:0][7:0] wire_data_o,
  output logic                   [15:0] wire_side_o,
  input  logic [LinkWordBytes-1:0][7:0] wire_data_i,
  input  logic                   [15:0] wire_side_i,
  input  logic                    [7:0] epoch_i,
  input  logic                          realign_i,
  output logic                          rx_word_valid_o,
  output logic [$clog2(FlitWords)-1:0]  rx_word_index_o,
  output logic [LinkWordBytes-1:0][7:0] rx_word_o,
  output logic                    [1:0] rx_word_channel_o,
  output flit_t                         flit_o,
  output logic                          aligned_o
);

  flit_tx u_tx (
    .clk_i,
    .rst_ni,
    .request_i,
    .take_o,
    .word_index_o(tx_word_index_o),
    .word_i      (tx_word_i),
    .wire_data_o,
    .wire_side_o
  );

  flit_rx u_rx (
    .clk_i,
    .rst_ni,
    .wire_data_i,
    .wire_side_i,
    .epoch_i,
    .realign_i,
    .word_valid_o  (rx_word_valid_o),
    .word_index_o  (rx_word_index_o),
    .word_o        (rx_word_o),
    .word_channel_o(rx_word_channel_o),
    .flit_o,
    .aligned_o
  );

endmodule : framer
