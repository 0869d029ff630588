// SPDX-License-Identifier: Apache-2.0
// One end of the link: words of three channels in and out, and a wire of 66 bytes a cycle each way to the peer.
// Each session delivers what its channels were given, in order and once, whatever the wire does.
module link_endpoint
  import tandem_pkg::*;
#(
  parameter bit Selective  // only what is missing is sent again
) (
  input  logic                                            clk_i,
  input  logic                                            rst_ni,
  input  logic                                            enable_i,
  input  logic                         [SequenceBits-1:0] nonce_i,
  input  logic [LinkChannels-1:0]                         word_valid_i,
  input  logic [LinkChannels-1:0][LinkWordBytes-1:0][7:0] word_i,
  output logic [LinkChannels-1:0]                         word_ready_o,
  output logic [LinkChannels-1:0]                         word_valid_o,
  output logic [LinkChannels-1:0][LinkWordBytes-1:0][7:0] word_o,
  input  logic [LinkChannels-1:0]                         word_ready_i,
  output logic                                            doorbell_o,
  output logic                                      [6:0] waiting_o,
  output logic                   [LinkWordBytes-1:0][7:0] wire_data_o,
  output logic                                     [15:0] wire_side_o,
  input  logic                   [LinkWordBytes-1:0][7:0] wire_data_i,
  input  logic                                     [15:0] wire_side_i,
  output link_state_e                                     state_o,
  output logic                                            drained_o,
  output logic                                     [31:0] crc_errors_o,
  output logic                                     [31:0] asks_o,
  output logic                                     [31:0] replays_o,
  output logic [LinkChannels-1:0]                  [31:0] stalls_o,
  output logic                                     [31:0] losses_o,
  output logic                                     [31:0] sessions_o
);

  localparam int unsigned Latency = 1;  // the channel of messages

  // ---- framing ----
  flit_request_t                 request;
  logic                          take;
  logic [$clog2(FlitWords)-1:0]  tx_index, rx_index;
  logic [LinkWordBytes-1:0][7:0] tx_word, rx_word;
  logic                          rx_valid;
  logic                    [1:0] rx_channel;
  flit_t                         flit, peer;
  logic                    [7:0] epoch;
  logic                          realign, aligned;

  framer u_framer (
    .clk_i,
    .rst_ni,
    .request_i        (request),
    .take_o           (take),
    .tx_word_index_o  (tx_index),
    .tx_word_i        (tx_word),
    .wire_data_o,
    .wire_side_o,
    .wire_data_i,
    .wire_side_i,
    .epoch_i          (epoch),
    .realign_i        (realign),
    .rx_word_valid_o  (rx_valid),
    .rx_word_index_o  (rx_index),
    .rx_word_o        (rx_word),
    .rx_word_channel_o(rx_channel),
    .flit_o           (flit),
    .aligned_o        (aligned)
  );

  // ---- session ----
  flit_kind_e              kind;
  logic [SequenceBits-1:0] nonce, heard_nonce, ack;
  logic                    heard, send, accept, receive, clear, asked, replayed;
  logic [LinkChannels-1:0] stalled;

  link_control u_control (
    .clk_i,
    .rst_ni,
    .enable_i,
    .nonce_i,
    .flit_i       (flit),
    .take_i       (take),
    .drained_i    (drained_o),
    .asked_i      (asked),
    .replayed_i   (replayed),
    .stalled_i    (stalled),
    .state_o,
    .kind_o       (kind),
    .epoch_o      (epoch),
    .nonce_o      (nonce),
    .heard_o      (heard),
    .heard_nonce_o(heard_nonce),
    .send_o       (send),
    .accept_o     (accept),
    .receive_o    (receive),
    .clear_o      (clear),
    .realign_o    (realign),
    .peer_o       (peer),
    .crc_errors_o,
    .asks_o,
    .replays_o,
    .stalls_o,
    .losses_o,
    .sessions_o
  );

  // ---- out ----
  flit_ask_t                               ask;
  logic [LinkChannels-1:0][CreditBits-1:0] limits;

  link_tx #(
    .Selective(Selective)
  ) u_tx (
    .clk_i,
    .rst_ni,
    .run_i        (send),
    .accept_i     (accept),
    .clear_i      (clear),
    .kind_i       (kind),
    .epoch_i      (epoch),
    .nonce_i      (nonce),
    .heard_i      (heard),
    .heard_nonce_i(heard_nonce),
    .valid_i      (word_valid_i),
    .word_i,
    .ready_o      (word_ready_o),
    .peer_i       (peer),
    .ack_i        (ack),
    .ask_i        (ask),
    .ask_taken_o  (asked),
    .limit_i      (limits),
    .take_i       (take),
    .request_o    (request),
    .word_index_i (tx_index),
    .word_o       (tx_word),
    .drained_o,
    .replayed_o   (replayed),
    .stalled_o    (stalled)
  );

  // ---- in ----
  logic [LinkChannels-1:0] pushed;
  logic              [1:0] pushed_words_last;

  link_rx #(
    .Selective(Selective)
  ) u_rx (
    .clk_i,
    .rst_ni,
    .run_i              (receive),
    .clear_i            (clear),
    .word_valid_i       (rx_valid),
    .word_index_i       (rx_index),
    .word_i             (rx_word),
    .word_channel_i     (rx_channel),
    .flit_i             (peer),
    .ack_o              (ack),
    .ask_o              (ask),
    .ask_taken_i        (asked),
    .limit_o            (limits),
    .word_valid_o,
    .word_o,
    .word_ready_i,
    .pushed_o           (pushed),
    .pushed_words_last_o(pushed_words_last)
  );

  link_mailbox u_mailbox (
    .clk_i,
    .rst_ni,
    .push_i           (pushed[Latency]),
    .push_words_last_i(pushed_words_last),
    .read_i           (word_valid_o[Latency] && word_ready_i[Latency]),
    .doorbell_o,
    .waiting_o
  );

  logic unused;
  assign unused = ^{aligned, pushed};

endmodule : link_endpoint
