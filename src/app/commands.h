#pragma once

#include <CLI/CLI.hpp>

namespace treepo {

// Each adds one command to the program; its callback sets `exit_code` where it is not 0.
void add_train_command(CLI::App& program, int& exit_code);
void add_sft_command(CLI::App& program, int& exit_code);
void add_eval_command(CLI::App& program, int& exit_code);
void add_study_command(CLI::App& program, int& exit_code);
void add_sample_command(CLI::App& program);
void add_merge_command(CLI::App& program);
void add_tokenize_command(CLI::App& program);
void add_prompt_command(CLI::App& program);
void add_data_command(CLI::App& program);
void add_bench_command(CLI::App& program);
void add_plan_command(CLI::App& program);
void add_score_command(CLI::App& program);
void add_options_command(CLI::App& program);
void add_report_command(CLI::App& program);
void add_show_command(CLI::App& program);
void add_doctor_command(CLI::App& program);
void add_completion_command(CLI::App& program);
void add_selfcheck_command(CLI::App& program, int& exit_code);

}  // namespace treepo
