// SPDX-License-Identifier: Apache-2.0
// Carries out the vector commands: asks for their words, gives them to the lanes or to argmax, one per cycle, has sums and
// scales made of them and tells the writer where results go. Small memories hold what is used with other words than it came
// with: a chunk of weights or of first operands, a batch of heads, the angles of the rows. A word is issued 1 cycle after it
// was taken.
`include "tandem_assert.svh"

module vector_sequencer
  import tandem_pkg::*;
#(
  localparam int unsigned GroupBits = 16,
  localparam int unsigned UnitsBits = 19   // of heads times rows
) (
  input  logic                                 clk_i,
  input  logic                                 rst_ni,
  input  logic                                 work_valid_i,
  input  logic          [CommandIndexBits-1:0] work_index_i,
  input  logic                     [7:0][63:0] work_i,
  output logic                                 work_ready_o,
  output read_request_t                        request_o,
  input  logic                                 request_ready_i,
  input  read_word_t                           word_i,
  input  logic             [AxiBytes-1:0][7:0] data_i,
  output logic                                 word_ready_o,
  output lane_op_e                             op_o,
  output vector_word_t                         word_o,
  output logic         [GroupFloats-1:0][31:0] a_o,
  output logic         [GroupFloats-1:0][31:0] b_o,
  output logic         [GroupFloats-1:0][31:0] cos_o,
  output logic         [GroupFloats-1:0][31:0] sin_o,
  output float_t                               scale_o,
  output logic                                 write_o,
  input  logic                                 lanes_busy_i,
  output vector_word_t                         argmax_word_o,
  output logic                                 argmax_clear_o,
  output logic               [FeatureBits-1:0] argmax_count_o,
  input  logic                                 argmax_busy_i,
  input  logic         [GroupFloats-1:0][31:0] argmax_result_i,
  output logic                                 sums_clear_o,
  output logic                                 reduce_o,
  output logic                           [3:0] units_o,
  output logic                          [31:0] mean_o,
  output logic                          [31:0] eps_o,
  input  logic                                 sums_busy_i,
  input  float_t             [VectorUnits-1:0] scales_i,
  output logic                                 start_o,
  output form_e                                form_o,
  output logic                           [3:0] stride_o,
  output vector_place_t                        place_o,
  output logic            [AxiAddressBits-1:0] place_scales_o,
  output logic                                 direct_valid_o,
  output logic                  [LineBits-1:0] direct_line_o,
  output logic         [GroupFloats-1:0][31:0] direct_data_o,
  input  logic                                 writer_ready_i,
  input  logic                                 writer_idle_i,
  input  logic                                 writer_failed_i,
  output done_t                                done_o,
  input  logic                                 done_ready_i,
  output activity_t                            activity_o
);

  typedef enum logic [2:0] {
    StateIdle   = 3'd0,
    StateSide   = 3'd1,  // words to be kept in the chunk buffer
    StateMain   = 3'd2,  // words to be issued; Heads: and kept
    StateDrain  = 3'd3,  // until they have left the lanes
    StateScales = 3'd4,  // until the scales are there
    StateTurn   = 3'd5,  // Heads: the kept words are issued in pairs
    StateEnd    = 3'd6   // until all is written, and that was taken note of
  } state_e;

  localparam logic [GroupFloats-1:0][31:0] Ones = {GroupFloats{32'h3f80_0000}};

  state_e                       state_d, state_q;
  logic                   [3:0] opcode_d, opcode_q;
  logic                         wide_d, wide_q;
  heads_mode_t                  mode_d, mode_q;                  // 0 but for Heads
  logic                   [3:0] rows_d, rows_q;
  logic       [FeatureBits-1:0] count_d, count_q;
  logic          [LineBits-1:0] line_d, line_q;                  // destination
  logic                  [31:0] mean_d, mean_q;
  logic                  [31:0] eps_d, eps_q;
  form_e                        form_d, form_q;
  logic         [GroupBits-1:0] groups_last_d, groups_last_q;    // groups of a unit, less one
  logic                   [3:0] units_d, units_q;                // rows, or heads of rows in the batch
  logic         [UnitsBits-1:0] units_left_d, units_left_q;      // Heads: from this batch on
  logic                   [2:0] unit_d, unit_q;                  // of row 0
  logic                   [2:0] row_d, row_q;
  logic         [GroupBits-1:0] group_d, group_q;                // of the unit; of a pair, the first
  logic                   [3:0] index_d, index_q;                // word of the chunk
  logic                         half_d, half_q;                  // the second of the pair is next
  logic                         turned_d, turned_q;              // Heads: the kept words have been issued
  logic                         quiet_d, quiet_q;                // nothing was in lanes, sums, argmax
  logic                         writer_ready_d, writer_ready_q;
  logic                         failed_d, failed_q;              // a word was refused
  lane_op_e                     op_d, op_q;
  logic                         write_d, write_q;
  vector_word_t                 word_d, word_q;
  logic [GroupFloats-1:0][31:0] a_d, a_q;
  logic [GroupFloats-1:0][31:0] b_d, b_q;
  logic [GroupFloats-1:0][31:0] cos_d, cos_q;
  logic [GroupFloats-1:0][31:0] sin_d, sin_q;
  float_t                       scale_d, scale_q;
  logic                         start_d, start_q;
  logic                         clear_d, clear_q;
  logic                         reduce_d, reduce_q;
  logic                         direct_d, direct_q;
  done_t                        done_d, done_q;
  activity_t                    activity_d, activity_q;

  command_head_t        head;
  command_destination_t destination;
  command_shape_t       shape;
  heads_mode_t          mode;
  assign head        = work_i[0];
  assign destination = work_i[2];
  assign shape       = work_i[3];
  assign mode        = head.operand;
  logic unused_work;
  assign unused_work = ^{work_i, head, destination, shape, mode};

  logic take;
  assign take = work_valid_i && work_ready_o;

  logic embed, add, norm, angles, heads, gate, argmax;
  assign embed  = opcode_q == 4'(OpcodeEmbed);
  assign add    = opcode_q == 4'(OpcodeAdd);
  assign norm   = opcode_q == 4'(OpcodeNorm);
  assign angles = opcode_q == 4'(OpcodeAngles);
  assign heads  = opcode_q == 4'(OpcodeHeads);
  assign gate   = opcode_q == 4'(OpcodeGate);
  assign argmax = opcode_q == 4'(OpcodeArgmax);

  // Units of a whole batch: rows times as many heads as fit.
  function automatic logic [UnitsBits-1:0] batch_units(input logic [3:0] rows);
    case (rows)
      4'd3, 4'd6: return UnitsBits'(6);
      4'd5:       return UnitsBits'(5);
      4'd7:       return UnitsBits'(7);
      default:    return UnitsBits'(8);
    endcase
  endfunction

  // Where the next word stands.
  logic [2:0] unit, word_number, rows_last;
  logic [1:0] pair;  // angles that go with it, or that it is
  logic       upper;  // half of the head
  logic       row_ends, groups_end, pairs_end, last_unit, main_ends, turn_ends, chunk_ends;
  assign unit        = unit_q + row_q;
  assign rows_last   = 3'(rows_q - 1'b1);
  assign upper       = state_q == StateTurn ? half_q : wide_q ? group_q[2] : group_q[1];
  assign pair        = wide_q ? group_q[1:0] : {1'b0, group_q[0]};
  assign word_number = wide_q ? {upper, pair} : {1'b0, upper, pair[0]};
  assign row_ends    = row_q == rows_last;
  assign groups_end  = group_q == groups_last_q;
  assign pairs_end   = group_q == groups_last_q >> 1;
  assign last_unit   = 4'(unit) + 1'b1 == units_q;
  assign main_ends   = groups_end && last_unit;
  assign turn_ends   = half_q && pairs_end && last_unit;
  assign chunk_ends  = norm ? row_ends && group_q[3:0] == '1 : (add || gate) && index_q == '1;

  // What happens in this cycle. A pair is not torn apart.
  logic may_issue, side_step, main_step, turn_step, settled;
  assign may_issue    = !write_q || writer_ready_q;
  assign word_ready_o = state_q == StateSide || (state_q == StateMain && may_issue);
  assign side_step    = state_q == StateSide && word_i.valid;
  assign main_step    = state_q == StateMain && word_i.valid && may_issue;
  assign turn_step    = state_q == StateTurn && (half_q || writer_ready_q);
  assign quiet_d      = !word_q.valid && !direct_q && !reduce_q && !lanes_busy_i && !sums_busy_i &&
                        !argmax_busy_i;
  assign settled      = quiet_d && quiet_q;

  // Where words lie that are kept.
  logic [GroupFloats-1:0][31:0] data, chunk, batch, cosines, sines;
  logic                   [3:0] chunk_address;
  assign data = data_i;
  always_comb begin
    chunk_address = index_q;
    if (state_q == StateMain && norm) chunk_address = group_q[3:0];
    if (state_q == StateTurn) chunk_address = {1'b0, word_number};
  end

  // What is issued.
  always_comb begin
    word_d  = word_q;
    a_d     = a_q;
    b_d     = b_q;
    cos_d   = cos_q;
    sin_d   = sin_q;
    scale_d = scale_q;

    word_d.valid = turn_step || (main_step && !angles && !(heads && mode_q.plain));
    if (main_step || turn_step) begin
      word_d.unit  = unit;
      word_d.hi    = turn_step && half_q && mode_q.rotated;
      word_d.hold  = turn_step ? {2'b0, half_q} : unit;
      word_d.group = turn_step ? GroupBits'(word_number) : group_q;
      a_d          = turn_step ? batch : add || gate ? chunk : data;
      b_d          = Ones;
      if (norm || turn_step) b_d = chunk;
      if (add || gate) b_d = data;
      scale_d      = widen(32'h3f80_0000);
      if (norm || (turn_step && !mode_q.plain)) scale_d = scales_i[unit];
    end
    if (turn_step && mode_q.rotated) begin
      cos_d = cosines;
      sin_d = sines;
    end
    if (direct_d) begin
      a_d = argmax_result_i;
      for (int unsigned r = 0; r < VectorUnits; r++) begin
        if (r >= 32'(rows_q)) begin
          a_d[r]               = '0;
          a_d[VectorUnits + r] = '0;
        end
      end
    end
  end

  // Where the next word stands, after this one.
  always_comb begin
    unit_d  = unit_q;
    row_d   = row_q;
    group_d = group_q;
    index_d = index_q;
    half_d  = half_q;
    if (side_step) index_d = word_i.last ? '0 : index_q + 1'b1;
    if (main_step) begin
      index_d = index_q + 1'b1;
      if (embed || angles) begin
        group_d = groups_end ? '0 : group_q + 1'b1;
        if (groups_end) row_d = row_q + 1'b1;
      end else begin
        row_d = row_ends ? '0 : row_q + 1'b1;
        if (row_ends) begin
          group_d = groups_end ? '0 : group_q + 1'b1;
          if (groups_end) unit_d = unit_q + rows_q[2:0];
        end
      end
    end
    if (turn_step) begin
      half_d = !half_q;
      if (half_q) begin
        group_d = pairs_end ? '0 : group_q + 1'b1;
        if (pairs_end) begin
          row_d = row_ends ? '0 : row_q + 1'b1;
          if (row_ends) unit_d = unit_q + rows_q[2:0];
        end
      end
    end
    if (take || (main_step && main_ends) || (turn_step && turn_ends)) begin
      unit_d  = '0;
      row_d   = '0;
      group_d = '0;
      index_d = '0;
    end
  end

  // A command, step by step.
  logic batch_step, again;  // kept words are to be issued; heads are left beyond the batch
  assign batch_step = state_q == StateDrain && settled && heads && !turned_q;
  assign again      = units_left_q != UnitsBits'(units_q);

  always_comb begin
    state_d       = state_q;
    opcode_d      = opcode_q;
    wide_d        = wide_q;
    mode_d        = mode_q;
    rows_d        = rows_q;
    count_d       = count_q;
    line_d        = line_q;
    mean_d        = mean_q;
    eps_d         = eps_q;
    form_d        = form_q;
    groups_last_d = groups_last_q;
    units_left_d  = units_left_q;
    turned_d      = turned_q;
    op_d          = op_q;
    write_d       = write_q;
    failed_d      = failed_q || ((side_step || main_step) && word_i.error);
    start_d       = take;
    clear_d       = take;
    reduce_d      = 1'b0;
    direct_d      = 1'b0;

    case (state_q)
      StateSide: if (side_step && word_i.last) state_d = StateMain;
      StateMain: begin
        if (main_step && chunk_ends) state_d = StateSide;
        if (main_step && main_ends) state_d = StateDrain;
      end
      StateDrain: begin
        if (settled) begin
          state_d = StateEnd;
          if (embed || add || batch_step) begin
            reduce_d = !mode_q.plain;
            state_d  = StateScales;
          end
          if (heads && turned_q && again) begin
            units_left_d = units_left_q - UnitsBits'(units_q);
            turned_d     = 1'b0;
            clear_d      = 1'b1;
            op_d         = LaneCopy;
            write_d      = 1'b0;
            state_d      = StateMain;
          end
          if (argmax) begin
            direct_d = writer_ready_q;
            if (!writer_ready_q) state_d = StateDrain;
          end
        end
      end
      StateScales: begin
        if (settled) begin
          state_d = StateEnd;
          if (heads) begin
            op_d    = mode_q.rotated ? LaneRotate : LaneScale;
            write_d = 1'b1;
            state_d = StateTurn;
          end
        end
      end
      StateTurn: begin
        if (turn_step && turn_ends) begin
          turned_d = 1'b1;
          state_d  = StateDrain;
        end
      end
      StateEnd: if (done_q.valid && done_ready_i) state_d = StateIdle;
      default:  ;
    endcase

    if (take) begin
      state_d       = StateSide;
      opcode_d      = head.opcode[3:0];
      wide_d        = head.flags.wide;
      mode_d        = '0;
      rows_d        = head.rows[3:0];
      count_d       = shape.count[FeatureBits-1:0];
      line_d        = destination.address[$clog2(AxiBytes)+:LineBits];
      mean_d        = work_i[5][31:0];
      eps_d         = work_i[5][63:32];
      form_d        = FormResults;
      groups_last_d = head.flags.wide ? GroupBits'(HeadWords - 1) : GroupBits'(HeadWords / 2 - 1);
      units_left_d  = UnitsBits'(head.rows[3:0]);
      turned_d      = 1'b0;
      failed_d      = 1'b0;
      op_d          = LaneCopy;
      write_d       = 1'b1;
      case (head.opcode)
        8'(OpcodeEmbed): groups_last_d = GroupBits'(shape.length[FeatureBits-1:4] - 1'b1);
        8'(OpcodeAdd): begin
          groups_last_d = GroupBits'(shape.length[FeatureBits-1:4] - 1'b1);
          op_d          = LaneAdd;
        end
        8'(OpcodeNorm): begin
          groups_last_d = GroupBits'(shape.length[FeatureBits-1:4] - 1'b1);
          op_d          = LaneScale;
          form_d        = FormInt8;
        end
        8'(OpcodeAngles): begin
          write_d = 1'b0;
          state_d = StateMain;
        end
        8'(OpcodeHeads): begin
          mode_d       = mode;
          units_left_d = UnitsBits'(shape.count[15:0]) * UnitsBits'(head.rows[3:0]);
          write_d      = 1'b0;
          form_d       = mode.target != '0 && !head.flags.int8 ? FormFp4 : FormInt8;
        end
        8'(OpcodeGate): begin
          groups_last_d = GroupBits'(shape.length[FeatureBits-1:4] - 1'b1);
          op_d          = LaneGate;
          form_d        = FormInt8;
        end
        8'(OpcodeQuantise): begin
          op_d    = LaneScale;
          form_d  = FormInt8;
          state_d = StateMain;
        end
        default: begin  // Argmax
          groups_last_d = GroupBits'((shape.count[FeatureBits-1:0] - 1'b1) >> 4);
          write_d       = 1'b0;
          state_d       = StateMain;
        end
      endcase
    end
  end

  // Units of the batch that begins.
  logic [UnitsBits-1:0] units_whole;
  assign units_whole = batch_units(rows_d);
  always_comb begin
    units_d = units_q;
    if (clear_d) units_d = units_left_d > units_whole ? units_whole[3:0] : units_left_d[3:0];
  end

  logic beyond, ends;
  assign ends           = state_q == StateEnd && settled && writer_idle_i && !done_q.valid;
  assign writer_ready_d = writer_ready_i;
  always_comb begin
    done_d = done_q;
    if (done_ready_i) done_d.valid = 1'b0;
    if (ends) begin
      done_d.valid  = 1'b1;
      done_d.status = 8'(StatusDone);
      if (writer_failed_i) done_d.status = 8'(StatusWriteError);
      if (beyond) done_d.status = 8'(StatusIndex);
      if (failed_q) done_d.status = 8'(StatusReadError);
    end
    if (take) begin
      done_d = '{
        valid: 1'b0,
        status: '0,
        notify: head.flags.notify,
        tokens: head.signal_tokens,
        index: work_index_i
      };
    end
  end

  assign activity_d = '{
    busy: state_q != StateIdle,
    starved: word_ready_o && !word_i.valid,
    blocked: state_q == StateEnd || ((state_q == StateMain || state_q == StateTurn) && !may_issue && !half_q),
    index: done_q.index
  };

  vector_reader u_reader (
    .clk_i,
    .rst_ni,
    .start_i(take),
    .work_i,
    .numbers_valid_i(side_step && embed),
    .numbers_i(data_i[AxiBytes/2-1:0]),
    .beyond_o(beyond),
    .request_o,
    .request_ready_i
  );

  vector_placer u_placer (
    .clk_i,
    .rst_ni,
    .start_i(take),
    .work_i,
    .batch_i(batch_step),
    .units_i(units_q),
    .place_o,
    .place_scales_o
  );

  vector_memory u_memory (
    .clk_i,
    .rst_ni,
    .data_i,
    .chunk_write_i(side_step),
    .chunk_address_i(chunk_address),
    .chunk_o(chunk),
    .batch_write_i(main_step && heads),
    .batch_address_i({unit, word_number}),
    .batch_o(batch),
    .cosines_write_i(main_step && angles && !upper),
    .sines_write_i(main_step && angles && upper),
    .angles_address_i({row_q, pair}),
    .cosines_o(cosines),
    .sines_o(sines)
  );

  always_ff @(posedge clk_i or negedge rst_ni) begin
    if (!rst_ni) begin
      state_q        <= StateIdle;
      opcode_q       <= '0;
      wide_q         <= '0;
      mode_q         <= '0;
      rows_q         <= '0;
      count_q        <= '0;
      line_q         <= '0;
      mean_q         <= '0;
      eps_q          <= '0;
      form_q         <= FormResults;
      groups_last_q  <= '0;
      units_q        <= '0;
      units_left_q   <= '0;
      unit_q         <= '0;
      row_q          <= '0;
      group_q        <= '0;
      index_q        <= '0;
      half_q         <= '0;
      turned_q       <= '0;
      quiet_q        <= '0;
      writer_ready_q <= '0;
      failed_q       <= '0;
      op_q           <= LaneCopy;
      write_q        <= '0;
      word_q         <= '0;
      a_q            <= '0;
      b_q            <= '0;
      cos_q          <= '0;
      sin_q          <= '0;
      scale_q        <= '0;
      start_q        <= '0;
      clear_q        <= '0;
      reduce_q       <= '0;
      direct_q       <= '0;
      done_q         <= '0;
      activity_q     <= '0;
    end else begin
      state_q        <= state_d;
      opcode_q       <= opcode_d;
      wide_q         <= wide_d;
      mode_q         <= mode_d;
      rows_q         <= rows_d;
      count_q        <= count_d;
      line_q         <= line_d;
      mean_q         <= mean_d;
      eps_q          <= eps_d;
      form_q         <= form_d;
      groups_last_q  <= groups_last_d;
      units_q        <= units_d;
      units_left_q   <= units_left_d;
      unit_q         <= unit_d;
      row_q          <= row_d;
      group_q        <= group_d;
      index_q        <= index_d;
      half_q         <= half_d;
      turned_q       <= turned_d;
      quiet_q        <= quiet_d;
      writer_ready_q <= writer_ready_d;
      failed_q       <= failed_d;
      op_q           <= op_d;
      write_q        <= write_d;
      word_q         <= word_d;
      a_q            <= a_d;
      b_q            <= b_d;
      cos_q          <= cos_d;
      sin_q          <= sin_d;
      scale_q        <= scale_d;
      start_q        <= start_d;
      clear_q        <= clear_d;
      reduce_q       <= reduce_d;
      direct_q       <= direct_d;
      done_q         <= done_d;
      activity_q     <= activity_d;
    end
  end

  always_comb begin
    word_o              = word_q;
    word_o.valid        = word_q.valid && !argmax;
    argmax_word_o       = word_q;
    argmax_word_o.valid = word_q.valid && argmax;
  end
  assign work_ready_o   = state_q == StateIdle;
  assign op_o           = op_q;
  assign a_o            = a_q;
  assign b_o            = b_q;
  assign cos_o          = cos_q;
  assign sin_o          = sin_q;
  assign scale_o        = scale_q;
  assign write_o        = write_q;
  assign argmax_clear_o = start_q;
  assign argmax_count_o = count_q;
  assign sums_clear_o   = clear_q;
  assign reduce_o       = reduce_q;
  assign units_o        = units_q;
  assign mean_o         = mean_q;
  assign eps_o          = eps_q;
  assign start_o        = start_q;
  assign form_o         = form_q;
  assign stride_o       = rows_q;
  assign direct_valid_o = direct_q;
  assign direct_line_o  = line_q;
  assign direct_data_o  = a_q;
  assign done_o         = done_q;
  assign activity_o     = activity_q;

  `TANDEM_INVARIANT(INV_SEQUENCER_1, !work_valid_i || (work_i[0][7:0] >= 8'(OpcodeEmbed) &&
                    work_i[0][7:0] <= 8'(OpcodeArgmax) && work_i[1][5:0] == '0 && work_i[2][5:0] == '0))
  `TANDEM_INVARIANT(INV_SEQUENCER_2, !work_valid_i || (work_i[0][23:16] != '0 &&
                    work_i[0][23:16] <= 8'(VectorUnits)))
  `TANDEM_INVARIANT(INV_SEQUENCER_3, !word_i.valid || (state_q != StateIdle && state_q != StateEnd))
  `TANDEM_INVARIANT(INV_SEQUENCER_4, !(word_i.valid && state_q == StateSide) ||
                    word_i.first == (index_q == '0))
  `TANDEM_INVARIANT(INV_SEQUENCER_5, !(word_i.valid && state_q == StateMain && may_issue) ||
                    !(chunk_ends || (main_ends && !again)) || word_i.last)

endmodule : vector_sequencer
