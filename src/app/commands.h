#pragma once

#include <CLI/CLI.hpp>

#include <string>

namespace treepo {

// program.add_subcommand(name, description), compiled once: it brings all of CLI::App with it,
// which takes seconds in each file.
CLI::App* add_command(CLI::App& program, const std::string& name, const std::string& description);

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
