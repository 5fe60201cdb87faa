// The commands, each in the file of its name (small ones of a kind share one). Each Add function
// declares its commands; they run when the command line has been parsed.
#pragma once

#include <string>

#include "CLI/CLI.hpp"
#include "cli/context.h"

namespace atoll::cli {

void AddGet(CLI::App& app, Context& context);      // get gat
void AddSet(CLI::App& app, Context& context);      // set add replace
void AddCas(CLI::App& app, Context& context);      // cas
void AddDel(CLI::App& app, Context& context);      // del
void AddTouch(CLI::App& app, Context& context);    // touch
void AddTtl(CLI::App& app, Context& context);      // ttl exists
void AddCounter(CLI::App& app, Context& context);  // incr decr
void AddAppend(CLI::App& app, Context& context);   // append prepend
void AddMget(CLI::App& app, Context& context);     // mget
void AddMset(CLI::App& app, Context& context);     // mset
void AddScan(CLI::App& app, Context& context);     // scan
void AddFlush(CLI::App& app, Context& context);    // flush

void AddPing(CLI::App& app, Context& context);     // ping
void AddStats(CLI::App& app, Context& context);    // stats
void AddRing(CLI::App& app, Context& context);     // ring
void AddExplain(CLI::App& app, Context& context);  // explain
void AddHealth(CLI::App& app, Context& context);   // health
void AddNs(CLI::App& app, Context& context);       // ns create/list/set/drop
void AddNode(CLI::App& app, Context& context);     // node list/drain

void AddShell(CLI::App& app, Context& context);       // shell
void AddCompletion(CLI::App& app, Context& context);  // completion

// Names of groups in --help.
inline constexpr char kDataGroup[] = "Entries";
inline constexpr char kClusterGroup[] = "Cluster";
inline constexpr char kToolsGroup[] = "Tools";

// A command that runs `body` when it was given.
CLI::App* AddCommand(CLI::App& app, Context& context, const std::string& name,
                     const std::string& help, const std::string& group, std::function<void()> body);

// Declares every command.
void AddCommands(CLI::App& app, Context& context);

// Runs one command line, without the program's name; returns the exit code.
int RunLine(const std::vector<std::string>& arguments, Context& context);

}  // namespace atoll::cli
