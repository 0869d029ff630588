// SPDX-License-Identifier: Apache-2.0
// The sending half of an endpoint: packs words into flits, gives out credit, sends again what the peer misses, and writes
// headers. A flit is chosen in the cycle of `take_i`: what has to be sent again, else a new one of the lowest channel
// that may, else one of `kind_i`. Its words go out, by `word_index_i`, in the four cycles after.
`include "tandem_assert.svh"

module link_tx
  import tandem_pkg::*;
#(
  parameter bit Selective  // the peer asks for exactly the flits that are missing
) (
  input  logic                          clk_i,
  input  logic                          rst_ni,
  // the session
  input  logic                          run_i,     // data flits may be sent
  input  logic                          accept_i,  // new words are taken in
  input  logic                          clear_i,
  input  flit_kind_e                    kind_i,
  input  logic                    [7:0] epoch_i,
  input  logic       [SequenceBits-1:0] nonce_i,
  input  logic                          heard_i,
  input  logic       [SequenceBits-1:0] heard_nonce_i,
  // words of the channels
  input  logic       [LinkChannels-1:0] valid_i,
  input  logic       [LinkChannels-1:0][LinkWordBytes-1:0][7:0] word_i,
  output logic       [LinkChannels-1:0] ready_o,
  // what the peer says, and what it is told
  input  flit_t                         peer_i,
  input  logic       [SequenceBits-1:0] ack_i,
  input  flit_ask_t                     ask_i,
  output logic                          ask_taken_o,
  input  logic       [LinkChannels-1:0][CreditBits-1:0] limit_i,
  // to flit_tx
  input  logic                          take_i,
  output flit_request_t                 request_o,
  input  logic  [$clog2(FlitWords)-1:0] word_index_i,
  output logic [LinkWordBytes-1:0][7:0] word_o,
  // to link_control
  output logic                          drained_o,
  output logic                          replayed_o,
  output logic       [LinkChannels-1:0] stalled_o
);

  // Payload of an init flit: "TANDEMLK" in bytes 8 to 15 of word 0.
  localparam logic [LinkWordBytes-1:0][7:0] InitWord =
      (8 * LinkWordBytes)'({link_magic(), 64'd0});

  // Of flits outside of a session: no receiver begins a flit with it. One whose session has just begun still takes the flit
  // on its wires as one of epoch 0, so that is none for the flits of a peer that has given up.
  localparam logic [7:0] NoEpoch = 8'd2;

  // Where the words of a flit come from.
  typedef enum logic [1:0] {
    SourceNone   = 2'd0,
    SourceInit   = 2'd1,
    SourceNew    = 2'd2,
    SourceReplay = 2'd3
  } source_e;

  logic [LinkChannels-1:0][CreditBits-1:0] sent_d, sent_q;    // new flits in this session
  logic [LinkChannels-1:0][CreditBits-1:0] limit_d, limit_q;  // how many there may have been
  logic    [1:0] told_d, told_q;                              // channel whose limit the peer is told next
  source_e       source_d, source_q;                          // of the flit taken last
  logic    [1:0] channel_d, channel_q;

  // ---- choice ----
  flit_offer_t [LinkChannels-1:0] offer;
  logic        [LinkChannels-1:0] stuck, may;
  logic                           full, crowded;
  resend_t                        resend;
  logic                     [1:0] chosen;
  source_e                        source;

  always_comb begin
    chosen = '0;
    for (int c = LinkChannels - 1; c >= 0; c--) begin
      // Bulk leaves room in the window: a message need not wait for an acknowledgement of bulk.
      stuck[c] = (c == LinkChannels - 1 ? crowded : full) || sent_q[c] == limit_q[c];
      may[c]   = offer[c].valid && !stuck[c];
      if (may[c]) chosen = 2'(c);
    end
    source = kind_i == FlitInit ? SourceInit : SourceNone;
    if (run_i && !clear_i) begin
      if (resend.valid) source = SourceReplay;
      else if (may != '0) source = SourceNew;
    end
  end

  logic push, resend_take;
  assign push        = take_i && source == SourceNew;
  assign resend_take = take_i && source == SourceReplay;

  // ---- words ----
  logic [LinkChannels-1:0]                          packer_ready;
  logic [LinkChannels-1:0][LinkWordBytes-1:0][7:0] packer_word;
  for (genvar c = 0; c < LinkChannels; c++) begin : gen_channel
    flit_packer u_packer (
      .clk_i,
      .rst_ni,
      .clear_i,
      .valid_i(valid_i[c] && accept_i),
      .word_i (word_i[c]),
      .ready_o(packer_ready[c]),
      .offer_o(offer[c]),
      .take_i (push && chosen == 2'(c)),
      .word_index_i,
      .word_o (packer_word[c])
    );
  end

  logic [SequenceBits-1:0]       next;
  replay_entry_t                 entry;
  logic [LinkWordBytes-1:0][7:0] new_word, replay_word;
  logic                          replay_empty;
  assign new_word = packer_word[channel_q];

  replay_buffer #(
    .Selective(Selective)
  ) u_replay (
    .clk_i,
    .rst_ni,
    .clear_i,
    .push_i       (push),
    .push_entry_i (entry),
    .write_i      (source_q == SourceNew),
    .write_index_i(word_index_i),
    .word_i       (new_word),
    .ack_valid_i  (peer_i.valid),
    .ack_i        (peer_i.header.ack),
    .ask_valid_i  (peer_i.valid && peer_i.header.nak),
    .ask_i        (SequenceBits'(peer_i.header.credit)),
    .resend_o     (resend),
    .resend_take_i(resend_take),
    .read_index_i (word_index_i),
    .word_o       (replay_word),
    .next_o       (next),
    .full_o       (full),
    .crowded_o    (crowded),
    .empty_o      (replay_empty)
  );

  always_comb begin
    unique case (source_q)
      SourceInit:   word_o = word_index_i == '0 ? InitWord : '0;
      SourceNew:    word_o = new_word;
      SourceReplay: word_o = replay_word;
      default:      word_o = '0;
    endcase
  end

  // ---- CRC of the payload ----
  // The code is linear: what the start leaves behind the payload, and what the payload leaves from a start of 0.
  logic [31:0] from_start, after_init_word, after_init;
  crc32c_zeros #(
    .Bytes(FlitWords * LinkWordBytes)
  ) u_start (
    .state_i(~{4{clear_i ? NoEpoch : epoch_i}}),
    .state_o(from_start)
  );

  // Constant: an init flit is of epoch 0.
  crc32c #(
    .Bytes(LinkWordBytes)
  ) u_init_word (
    .state_i('1),
    .data_i (InitWord),
    .state_o(after_init_word)
  );
  crc32c_zeros #(
    .Bytes((FlitWords - 1) * LinkWordBytes)
  ) u_init (
    .state_i(after_init_word),
    .state_o(after_init)
  );

  // By words in use, less one: the words that are not are zero.
  logic                 [31:0] words_crc;
  logic [FlitWords-1:0] [31:0] padded;
  assign words_crc           = offer[chosen].crc;
  assign padded[FlitWords-1] = words_crc;
  for (genvar n = 0; n < FlitWords - 1; n++) begin : gen_unused_words
    crc32c_zeros #(
      .Bytes((FlitWords - 1 - n) * LinkWordBytes)
    ) u_padded (
      .state_i(words_crc),
      .state_o(padded[n])
    );
  end
  assign entry.channel    = chosen;
  assign entry.words_last = offer[chosen].words_last;
  assign entry.crc        = padded[entry.words_last];

  // ---- header ----
  always_comb begin
    request_o                       = '0;
    request_o.header.number         = next;
    request_o.header.ack            = ack_i;
    request_o.header.credit_channel = ask_i.valid ? 2'(LinkChannels) : told_q;
    request_o.header.credit         = ask_i.valid ? CreditBits'(ask_i.number) : limit_i[told_q];
    request_o.header.nak            = ask_i.valid;
    request_o.header.kind           = kind_i;
    request_o.payload_crc           = from_start;
    unique case (source)
      SourceInit: begin
        request_o               = '0;
        request_o.header.number = nonce_i;
        request_o.header.ack    = heard_nonce_i;
        request_o.header.nak    = heard_i;
        request_o.header.kind   = FlitInit;
        request_o.payload_crc   = after_init;
      end
      SourceNew: begin
        request_o.header.channel    = chosen;
        request_o.header.words_last = entry.words_last;
        request_o.header.kind       = FlitData;
        request_o.payload_crc       = from_start ^ entry.crc;
      end
      SourceReplay: begin
        request_o.header.number     = resend.number;
        request_o.header.channel    = resend.entry.channel;
        request_o.header.words_last = resend.entry.words_last;
        request_o.header.kind       = FlitData;
        request_o.payload_crc       = from_start ^ resend.entry.crc;
      end
      default: ;
    endcase
  end

  // ---- next state ----
  always_comb begin
    sent_d    = sent_q;
    limit_d   = limit_q;
    told_d    = told_q;
    source_d  = source_q;
    channel_d = channel_q;
    if (take_i) begin
      source_d  = source;
      channel_d = chosen;
      if (source != SourceInit && !ask_i.valid) begin
        told_d = told_q == 2'(LinkChannels - 1) ? '0 : told_q + 1'b1;
      end
    end
    for (int c = 0; c < LinkChannels; c++) begin
      if (push && chosen == 2'(c)) sent_d[c] = sent_q[c] + 1'b1;
      if (peer_i.valid && !peer_i.header.nak && peer_i.header.credit_channel == 2'(c)) begin
        limit_d[c] = peer_i.header.credit;
      end
    end
    if (clear_i) begin
      sent_d  = '0;
      limit_d = '0;
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      sent_q    <= '0;
      limit_q   <= '0;
      told_q    <= '0;
      source_q  <= SourceNone;
      channel_q <= '0;
    end else begin
      sent_q    <= sent_d;
      limit_q   <= limit_d;
      told_q    <= told_d;
      source_q  <= source_d;
      channel_q <= channel_d;
    end
  end

  logic [LinkChannels-1:0] offers;
  for (genvar c = 0; c < LinkChannels; c++) begin : gen_offers
    assign offers[c] = offer[c].valid;
  end

  // The rest of it is for others.
  logic unused_peer;
  assign unused_peer = ^peer_i;

  assign ready_o     = packer_ready & {LinkChannels{accept_i}};
  assign ask_taken_o = take_i && ask_i.valid && source != SourceInit;
  assign drained_o   = offers == '0 && replay_empty;
  assign replayed_o  = resend_take;
  assign stalled_o   = offers & stuck & {LinkChannels{run_i}};

  // An init flit's fields mean something else.
  `TANDEM_INVARIANT(INV_LINKTX_1, !(peer_i.valid && peer_i.header.kind == FlitInit))

endmodule : link_tx
