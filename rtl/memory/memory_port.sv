// SPDX-License-Identifier: Apache-2.0
// The core's port to memory, AXI4: a stream of words with a reader of its own, four clients that share another, four that
// write. On an idle port a request is on AR or AW 2 cycles after it was taken (the stream's after 1), a word that comes is
// at its client 2 cycles later, a word to be written on W 2 cycles later. `flush_i` drops everything at any time; what AXI
// was promised is kept: answers are swallowed, bursts to be written end with words that write nothing.
`include "tandem_assert.svh"

module memory_port
  import tandem_pkg::*;
#(
  parameter int unsigned StreamDepth,  // words that there is room for; of axi_reader
  parameter int unsigned StreamBurst,  // words of the longest burst
  parameter int unsigned AuxDepth,     // the same of the reader that the clients share
  parameter int unsigned AuxBurst,
  parameter int unsigned WriteDepth,   // bursts to be written that may be on their way
  parameter int unsigned WriteBurst,
  localparam int unsigned IdBits      = AxiIdBits - 1,  // each reader has half of the IDs
  localparam int unsigned AuxRequests = 16,             // requests that the shared reader may have
  localparam int unsigned Clients     = 4
) (
  input  logic                                            clk_i,
  input  logic                                            rst_ni,
  input  logic                                            flush_i,    // drops all that was requested
  output logic                                            idle_o,     // nothing asked for, nothing on its way
  input  read_request_t                                   stream_request_i,
  output logic                                            stream_request_ready_o,
  output read_word_t                                      stream_word_o,
  output logic                        [AxiBytes-1:0][7:0] stream_data_o,
  input  logic                                            stream_ready_i,
  input  read_request_t  [Clients-1:0]                    read_request_i,
  output logic           [Clients-1:0]                    read_request_ready_o,
  output read_word_t     [Clients-1:0]                    read_word_o,
  output logic                        [AxiBytes-1:0][7:0] read_data_o,  // of whoever has a word
  input  logic           [Clients-1:0]                    read_ready_i,
  input  write_request_t [Clients-1:0]                    write_request_i,
  output logic           [Clients-1:0]                    write_request_ready_o,
  input  logic           [Clients-1:0]                    write_valid_i,
  input  logic           [Clients-1:0]     [AxiBytes-1:0] write_strobe_i,
  input  logic           [Clients-1:0][AxiBytes-1:0][7:0] write_data_i,
  output logic           [Clients-1:0]                    write_ready_o,
  output write_done_t    [Clients-1:0]                    write_done_o,
  output axi_address_t                                    ar_o,
  input  logic                                            ar_ready_i,
  input  axi_read_t                                       r_i,
  input  logic                        [AxiBytes-1:0][7:0] r_data_i,
  output logic                                            r_ready_o,
  output axi_address_t                                    aw_o,
  input  logic                                            aw_ready_i,
  output axi_write_t                                      w_o,
  output logic                             [AxiBytes-1:0] w_strobe_o,
  output logic                        [AxiBytes-1:0][7:0] w_data_o,
  input  logic                                            w_ready_i,
  input  axi_response_t                                   b_i,
  output logic                                            b_ready_o
);

  // AR: the clients first, but what waits on it stays.
  logic         stream_waits_d, stream_waits_q;
  logic         aux_first;
  axi_address_t stream_ar, aux_ar;
  assign aux_first      = aux_ar.valid && !stream_waits_q;
  assign stream_waits_d = stream_ar.valid && !aux_first && !ar_ready_i;
  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) stream_waits_q <= '0;
    else stream_waits_q <= stream_waits_d;
  end
  assign ar_o = aux_first ? aux_ar : stream_ar;

  logic stream_r_ready, stream_idle;
  axi_reader #(
    .Depth     (StreamDepth),
    .BurstWords(StreamBurst),
    .FirstId   (0),
    .IdBits    (IdBits)
  ) u_stream (
    .clk_i,
    .rst_ni,
    .flush_i,
    .request_valid_i  (stream_request_i.valid),
    .request_address_i(stream_request_i.address),
    .request_words_i  (stream_request_i.words),
    .request_ready_o  (stream_request_ready_o),
    .ar_o             (stream_ar),
    .ar_ready_i       (ar_ready_i && !aux_first),
    .r_i,
    .r_data_i,
    .r_ready_o        (stream_r_ready),
    .word_valid_o     (stream_word_o.valid),
    .word_o           (stream_data_o),
    .word_first_o     (stream_word_o.first),
    .word_last_o      (stream_word_o.last),
    .word_error_o     (stream_word_o.error),
    .word_ready_i     (stream_ready_i),
    .idle_o           (stream_idle)
  );

  read_request_t aux_request;
  read_word_t    aux_word;
  logic          aux_request_ready, aux_word_ready, aux_r_ready, aux_idle, reads_idle;
  read_arbiter #(
    .Depth(AuxRequests)
  ) u_reads (
    .clk_i,
    .rst_ni,
    .clear_i        (flush_i),
    .request_i      (read_request_i),
    .request_ready_o(read_request_ready_o),
    .request_o      (aux_request),
    .request_ready_i(aux_request_ready),
    .word_i         (aux_word),
    .word_ready_o   (aux_word_ready),
    .word_o         (read_word_o),
    .word_ready_i   (read_ready_i),
    .idle_o         (reads_idle)
  );

  axi_reader #(
    .Depth     (AuxDepth),
    .BurstWords(AuxBurst),
    .FirstId   (2 ** IdBits),
    .IdBits    (IdBits)
  ) u_aux (
    .clk_i,
    .rst_ni,
    .flush_i,
    .request_valid_i  (aux_request.valid),
    .request_address_i(aux_request.address),
    .request_words_i  (aux_request.words),
    .request_ready_o  (aux_request_ready),
    .ar_o             (aux_ar),
    .ar_ready_i       (ar_ready_i && aux_first),
    .r_i,
    .r_data_i,
    .r_ready_o        (aux_r_ready),
    .word_valid_o     (aux_word.valid),
    .word_o           (read_data_o),
    .word_first_o     (aux_word.first),
    .word_last_o      (aux_word.last),
    .word_error_o     (aux_word.error),
    .word_ready_i     (aux_word_ready),
    .idle_o           (aux_idle)
  );
  assign r_ready_o = stream_r_ready && aux_r_ready;

  write_request_t [Clients-1:0]                    request;
  logic           [Clients-1:0]                    request_taken, word_valid, word_taken, queue_idle;
  logic           [Clients-1:0]     [AxiBytes-1:0] strobe;
  logic           [Clients-1:0][AxiBytes-1:0][7:0] data;
  for (genvar c = 0; c < Clients; c++) begin : gen_client
    write_queue u_queue (
      .clk_i,
      .rst_ni,
      .clear_i        (flush_i),
      .request_i      (write_request_i[c]),
      .request_ready_o(write_request_ready_o[c]),
      .word_valid_i   (write_valid_i[c]),
      .strobe_i       (write_strobe_i[c]),
      .data_i         (write_data_i[c]),
      .word_ready_o   (write_ready_o[c]),
      .request_o      (request[c]),
      .request_taken_i(request_taken[c]),
      .word_valid_o   (word_valid[c]),
      .strobe_o       (strobe[c]),
      .data_o         (data[c]),
      .word_taken_i   (word_taken[c]),
      .idle_o         (queue_idle[c])
    );
  end

  logic writer_idle;
  axi_writer #(
    .Depth     (WriteDepth),
    .BurstWords(WriteBurst)
  ) u_writer (
    .clk_i,
    .rst_ni,
    .flush_i,
    .request_i      (request),
    .request_taken_o(request_taken),
    .word_valid_i   (word_valid),
    .strobe_i       (strobe),
    .data_i         (data),
    .word_taken_o   (word_taken),
    .done_o         (write_done_o),
    .aw_o,
    .aw_ready_i,
    .w_o,
    .w_strobe_o,
    .w_data_o,
    .w_ready_i,
    .b_i,
    .b_ready_o,
    .idle_o         (writer_idle)
  );

  assign idle_o = stream_idle && reads_idle && aux_idle && queue_idle == '1 && writer_idle;

  `TANDEM_INVARIANT(INV_PORT_1, !stream_waits_q || stream_ar.valid)

endmodule : memory_port
