// SPDX-License-Identifier: Apache-2.0
// One rank's part in reduce-scatter, all-gather and all-reduce, on a vector memory of its own. Chunk c of the vector lies
// at base + c * words. The sum of chunk c is x[c+1] + x[c+2] + ... + x[c] by ranks, added from left to right, in both
// shapes: the same bits everywhere. One word given and one word taken per cycle. Ring: a sum goes on 7 cycles after its
// word was taken, a gathered word 3 cycles after.
`include "tandem_assert.svh"

module collective
  import tandem_pkg::*;
#(
  parameter int unsigned Ports,
  parameter int unsigned VectorWords,
  localparam int unsigned AddressBits = $clog2(VectorWords)
) (
  input  logic                                      clk_i,
  input  logic                                      rst_ni,
  input  collective_command_t                       command_i,
  output logic                                      command_ready_o,
  output logic                                      done_o,
  output logic                                      refused_o,
  output logic                                      saturated_o,
  input  logic                                      host_write_i,    // while command_ready_o
  input  logic                                      host_read_i,     // while command_ready_o
  input  logic                [WordAddressBits-1:0] host_address_i,  // its low AddressBits count
  input  logic             [LinkWordBytes-1:0][7:0] host_word_i,
  output logic             [LinkWordBytes-1:0][7:0] host_word_o,
  output logic [Ports-1:0]                          word_valid_o,
  output logic             [LinkWordBytes-1:0][7:0] word_o,          // of all ports
  input  logic [Ports-1:0]                          word_ready_i,
  input  logic [Ports-1:0]                          word_valid_i,
  input  logic [Ports-1:0] [LinkWordBytes-1:0][7:0] word_i,
  output logic [Ports-1:0]                          word_ready_o
);

  localparam int unsigned Columns    = LinkWordBytes / 8;
  localparam int unsigned CountBits = WordAddressBits + 2;
  localparam int unsigned SizeBits   = WordAddressBits + RankBits + 2;

  typedef logic [WordAddressBits-1:0]    address_t;
  typedef logic [LinkWordBytes-1:0][7:0] word_t;

  typedef struct packed {
    logic     own;      // a finished word of this rank's chunk, full
    address_t address;
  } sum_tag_t;

  // A word that was taken and goes to the memory or through the adders.
  typedef struct packed {
    logic     valid;
    logic     add;
    sum_tag_t tag;
  } stage_t;

  // ---- registers ----
  collective_command_t   command_d, command_q;
  logic                  check_d, check_q, start_d, start_q, run_d, run_q;
  logic                  done_d, done_q, refused_d, refused_q, saturated_d, saturated_q;
  address_t              own_d, own_q, top_d, top_q;  // first words of this rank's chunk and of the last one
  logic [RankBits:0]     give_left_d, give_left_q;    // chunks
  logic                  give_first_d, give_first_q;
  address_t              give_chunk_d, give_chunk_q, give_word_d, give_word_q;
  logic [PortBits-1:0]   give_port_d, give_port_q;
  logic [CountBits-1:0] give_credit_d, give_credit_q;  // words that are there to be given
  logic [Ports-1:0]      pending_d, pending_q;          // ports that have not taken word_q
  logic [RankBits:0]     take_sums_d, take_sums_q;      // passes over a chunk with sums
  logic [RankBits:0]     take_stores_d, take_stores_q;  // ring: chunks to gather; full: 1 or 0
  logic                  take_first_d, take_first_q;
  address_t              take_chunk_d, take_chunk_q, take_word_d, take_word_q;
  logic [PortBits-1:0]   take_port_d, take_port_q;
  logic [2:0]            adding_d, adding_q;            // words between being taken and their sums' writes
  stage_t                stage_d, stage_q;

  // Addresses of the chunks before and after one.
  function automatic address_t previous(input address_t chunk);
    return chunk == command_q.base ? top_q : chunk - command_q.words;
  endfunction
  function automatic address_t following(input address_t chunk);
    return chunk == top_q ? command_q.base : chunk + command_q.words;
  endfunction

  // ---- command ----
  logic                legal;
  logic [SizeBits-1:0] vector_end;
  logic [RankBits:0]   others;  // ranks
  always_comb begin
    others     = command_q.ranks - 8'd1;
    vector_end = SizeBits'(command_q.base) + SizeBits'(command_q.ranks) * SizeBits'(command_q.words);
    legal      = command_q.op != CollectiveReserved3
                 && command_q.ranks >= 8'd2 && command_q.ranks <= 8'd128
                 && {1'b0, command_q.rank} < command_q.ranks
                 && command_q.words != '0 && vector_end <= SizeBits'(VectorWords);
    if (command_q.full) begin
      legal = legal && others <= (RankBits + 1)'(Ports);
    end else begin
      legal = legal && 32'(command_q.send_port) < Ports && 32'(command_q.receive_port) < Ports;
    end
  end

  // ---- taking ----
  logic     take_sum, take_final, take_both, take_allowed, take, take_last_word;
  logic     port_valid;
  word_t    port_word;
  logic [2:0] flight;
  always_comb begin
    take_sum   = take_sums_q != '0;
    take_final = command_q.full && take_sums_q == 8'd1;
    // Taken and not yet written.
    flight = adding_q + 3'(stage_q.valid && !stage_q.add);
    if (!take_sum) begin
      take_allowed = take_stores_q != '0 && adding_q == '0;
    end else if (!command_q.full) begin
      take_allowed = 1'b1;
    end else if (take_first_q) begin
      // The sums take the place of the chunk that is given first.
      take_allowed = !give_first_q || give_word_q > take_word_q;
    end else begin
      // What the last pass left here is written.
      take_allowed = address_t'(flight) < command_q.words;
    end
    take_allowed = take_allowed && run_q;
    take_both    = take_allowed && take_final;  // from the memory

    port_valid = 1'b0;
    port_word  = '0;
    for (int unsigned k = 0; k < Ports; k++) begin
      word_ready_o[k] = take_allowed && !take_final && take_port_q == PortBits'(k);
      if (take_port_q == PortBits'(k)) begin
        port_valid = word_valid_i[k];
        port_word  = word_i[k];
      end
    end
    take           = take_both || take_allowed && port_valid;
    take_last_word = take_word_q == command_q.words - 16'd1;
  end

  // ---- giving ----
  logic give, give_broadcast, give_last_word;
  always_comb begin
    give_broadcast = command_q.full && command_q.op != CollectiveReduceScatter && give_left_q == 8'd1;
    // The last pass of a full reduction reads two words.
    give = run_q && give_left_q != '0 && give_credit_q != '0 && (pending_q & ~word_ready_i) == '0
           && !take_both;
    give_last_word = give_word_q == command_q.words - 16'd1;
  end

  // ---- memory ----
  address_t give_address, take_address, write_address;
  word_t    give_read, take_read, write_word, word_q, running_d, running_q, term_d, term_q, sum_word;
  logic     write, sum_valid, sum_saturated;
  sum_tag_t sum_tag;
  always_comb begin
    give_address = take_both ? own_q + take_word_q : give_chunk_q + give_word_q;
    take_address = command_ready_o ? host_address_i : take_chunk_q + take_word_q;

    write         = 1'b0;
    write_address = stage_q.tag.address;
    write_word    = running_q;
    if (command_ready_o) begin
      write         = host_write_i;
      write_address = host_address_i;
      write_word    = host_word_i;
    end else if (sum_valid) begin
      write         = 1'b1;
      write_address = sum_tag.address;
      write_word    = sum_word;
    end else begin
      write = stage_q.valid && !stage_q.add;
    end
  end

  logic unused_address;
  assign unused_address = ^{give_address, take_address, write_address};

  for (genvar c = 0; c < Columns; c++) begin : gen_column
    logic [63:0] vector_q[VectorWords];
    always_ff @(posedge clk_i) begin
      if (write && rst_ni) vector_q[AddressBits'(write_address)] <= write_word[8*c+:8];
    end
    assign give_read[8*c+:8] = vector_q[AddressBits'(give_address)];
    assign take_read[8*c+:8] = vector_q[AddressBits'(take_address)];
  end

  // ---- sums ----
  reducer #(
    .TagBits($bits(sum_tag_t))
  ) u_reducer (
    .clk_i,
    .rst_ni,
    .valid_i    (stage_q.valid && stage_q.add),
    .tag_i      (stage_q.tag),
    .running_i  (running_q),
    .term_i     (term_q),
    .valid_o    (sum_valid),
    .tag_o      (sum_tag),
    .word_o     (sum_word),
    .saturated_o(sum_saturated)
  );

  always_comb begin
    stage_d       = stage_q;
    stage_d.valid = take;
    running_d     = running_q;
    term_d        = term_q;
    if (take) begin
      stage_d.add         = take_sum && !(command_q.full && take_first_q);
      stage_d.tag.own     = take_both;
      stage_d.tag.address = take_both ? give_address : take_address;
      running_d           = take_both ? give_read : port_word;
    end
    if (take && stage_d.add || command_ready_o && host_read_i) term_d = take_read;
    adding_d = adding_q + 3'(take && stage_d.add) - 3'(sum_valid);
  end

  // ---- next state ----
  word_t word_d;
  always_comb begin
    command_d     = command_q;
    check_d       = 1'b0;
    start_d       = 1'b0;
    run_d         = run_q;
    done_d        = 1'b0;
    refused_d     = 1'b0;
    saturated_d   = saturated_q || sum_saturated;
    own_d         = own_q;
    top_d         = top_q;
    give_left_d   = give_left_q;
    give_first_d  = give_first_q;
    give_chunk_d  = give_chunk_q;
    give_word_d   = give_word_q;
    give_port_d   = give_port_q;
    give_credit_d = give_credit_q;
    pending_d     = pending_q & ~word_ready_i;
    word_d        = word_q;
    take_sums_d   = take_sums_q;
    take_stores_d = take_stores_q;
    take_first_d  = take_first_q;
    take_chunk_d  = take_chunk_q;
    take_word_d   = take_word_q;
    take_port_d   = take_port_q;

    if (command_ready_o && command_i.valid) begin
      command_d   = command_i;
      check_d     = 1'b1;
      saturated_d = 1'b0;
    end
    if (check_q) begin
      own_d     = address_t'(24'(command_q.base) + 24'(command_q.rank) * 24'(command_q.words));
      top_d     = address_t'(24'(command_q.base) + 24'(others) * 24'(command_q.words));
      start_d   = legal;
      refused_d = !legal;
    end
    if (start_q) begin
      run_d         = 1'b1;
      give_first_d  = 1'b1;
      give_word_d   = '0;
      give_left_d   = others;
      give_chunk_d  = previous(own_q);
      give_port_d   = command_q.send_port;
      give_credit_d = CountBits'(command_q.words);
      take_first_d  = 1'b1;
      take_word_d   = '0;
      take_sums_d   = others;
      take_stores_d = others;
      take_chunk_d  = previous(previous(own_q));
      take_port_d   = command_q.receive_port;
      if (command_q.full) begin
        give_port_d   = PortBits'(others) - PortBits'(1);
        give_credit_d = CountBits'(address_t'(top_q - command_q.base));
        take_sums_d   = command_q.ranks;
        take_stores_d = 8'd1;
        take_chunk_d  = previous(own_q);
        take_port_d   = '0;
      end
      case (command_q.op)
        CollectiveReduceScatter: take_stores_d = '0;
        CollectiveAllGather: begin
          give_left_d   = command_q.full ? 8'd1 : others;
          give_chunk_d  = own_q;
          give_credit_d = CountBits'(command_q.words);
          take_sums_d   = '0;
          take_chunk_d  = command_q.full ? following(own_q) : previous(own_q);
        end
        default: give_left_d = command_q.full ? command_q.ranks : others + others;
      endcase
    end

    if (give) begin
      word_d        = give_read;
      give_credit_d = give_credit_d - CountBits'(1);
      give_word_d   = give_word_q + 16'd1;
      for (int unsigned k = 0; k < Ports; k++) begin
        pending_d[k] = give_broadcast ? (RankBits + 1)'(k) < others : give_port_q == PortBits'(k);
      end
      if (give_last_word) begin
        give_word_d  = '0;
        give_first_d = 1'b0;
        give_left_d  = give_left_q - 8'd1;
        give_chunk_d = previous(give_chunk_q);
        if (command_q.full) give_port_d = give_port_q - PortBits'(1);
      end
    end
    if (run_q && write && (!command_q.full || sum_valid && sum_tag.own)) begin
      give_credit_d = give_credit_d + CountBits'(1);
    end

    if (take) begin
      take_word_d = take_word_q + 16'd1;
      if (command_q.full && !take_sum) begin
        // A word from every port, then the next.
        take_word_d  = take_word_q;
        take_port_d  = take_port_q + PortBits'(1);
        take_chunk_d = following(take_chunk_q);
        if ((RankBits + 1)'(take_port_q) + 8'd1 == others) begin
          take_port_d  = '0;
          take_chunk_d = following(own_q);
          take_word_d  = take_word_q + 16'd1;
          if (take_last_word) take_stores_d = '0;
        end
      end else if (take_last_word) begin
        take_word_d  = '0;
        take_first_d = 1'b0;
        if (take_sum) take_sums_d = take_sums_q - 8'd1;
        else take_stores_d = take_stores_q - 8'd1;
        if (!command_q.full) begin
          take_chunk_d = previous(take_chunk_q);
        end else if (take_final) begin
          take_port_d  = '0;
          take_chunk_d = following(own_q);
        end else begin
          take_port_d = take_port_q + PortBits'(1);
        end
      end
    end

    if (run_q && give_left_q == '0 && pending_q == '0 && !take_sum && take_stores_q == '0
        && flight == '0) begin
      run_d  = 1'b0;
      done_d = 1'b1;
    end
  end

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      command_q     <= '0;
      check_q       <= '0;
      start_q       <= '0;
      run_q         <= '0;
      done_q        <= '0;
      refused_q     <= '0;
      saturated_q   <= '0;
      own_q         <= '0;
      top_q         <= '0;
      give_left_q   <= '0;
      give_first_q  <= '0;
      give_chunk_q  <= '0;
      give_word_q   <= '0;
      give_port_q   <= '0;
      give_credit_q <= '0;
      pending_q     <= '0;
      word_q        <= '0;
      take_sums_q   <= '0;
      take_stores_q <= '0;
      take_first_q  <= '0;
      take_chunk_q  <= '0;
      take_word_q   <= '0;
      take_port_q   <= '0;
      adding_q      <= '0;
      stage_q       <= '0;
      running_q     <= '0;
      term_q        <= '0;
    end else begin
      command_q     <= command_d;
      check_q       <= check_d;
      start_q       <= start_d;
      run_q         <= run_d;
      done_q        <= done_d;
      refused_q     <= refused_d;
      saturated_q   <= saturated_d;
      own_q         <= own_d;
      top_q         <= top_d;
      give_left_q   <= give_left_d;
      give_first_q  <= give_first_d;
      give_chunk_q  <= give_chunk_d;
      give_word_q   <= give_word_d;
      give_port_q   <= give_port_d;
      give_credit_q <= give_credit_d;
      pending_q     <= pending_d;
      word_q        <= word_d;
      take_sums_q   <= take_sums_d;
      take_stores_q <= take_stores_d;
      take_first_q  <= take_first_d;
      take_chunk_q  <= take_chunk_d;
      take_word_q   <= take_word_d;
      take_port_q   <= take_port_d;
      adding_q      <= adding_d;
      stage_q       <= stage_d;
      running_q     <= running_d;
      term_q        <= term_d;
    end
  end

  // ---- outputs ----
  assign command_ready_o = !check_q && !start_q && !run_q;
  assign done_o          = done_q;
  assign refused_o       = refused_q;
  assign saturated_o     = saturated_q;
  assign host_word_o     = term_q;
  assign word_valid_o    = pending_q;
  assign word_o          = word_q;

  // There is one write port.
  `TANDEM_INVARIANT(INV_COLLECTIVE_1, !(sum_valid && stage_q.valid && !stage_q.add))
  // Nobody gives what is not there.
  `TANDEM_INVARIANT(INV_COLLECTIVE_2, !give || give_credit_q != '0)
  // Nothing is under way when the host has the memory.
  `TANDEM_INVARIANT(INV_COLLECTIVE_3, !command_ready_o || !stage_q.valid && adding_q == '0)

endmodule : collective
