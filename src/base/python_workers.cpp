#include "base/python_workers.h"

#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/python_interpreter.h"
#include "base/python_process.h"

namespace treepo {

namespace {

using Status = PythonReply::Status;

constexpr double kLoadSeconds = 120;  // to import a handler with its packages

struct Item {
  std::string handler;
  std::optional<Json> request;  // none: only load the handler
  std::promise<PythonReply> reply{};
};

PythonReply failure(const PythonProcess::Exchange& exchange, double timeout_s) {
  switch (exchange.outcome) {
    case PythonProcess::Outcome::timed_out:
      return {.status = Status::timed_out,
              .message = fmt::format("took longer than {} s{}", timeout_s, exchange.text)};
    case PythonProcess::Outcome::died:
      return {.status = Status::died, .message = "the Python worker " + exchange.text};
    default:
      return {.status = Status::died, .message = "the Python workers were stopped"};
  }
}

// One process and what it has loaded. Belongs to one thread.
class Worker {
 public:
  Worker(std::string python, const PythonWorkerSettings& settings, int interrupt_fd)
      : python_(std::move(python)), settings_(settings), interrupt_fd_(interrupt_fd) {}

  void start() { process_.emplace(python_, settings_.memory_mib, interrupt_fd_); }

  PythonReply answer(const Item& item) {
    if (process_ && process_->has_exited()) discard();  // killed while it waited: no item's fault
    if (!process_) {
      try {
        start();
      } catch (const Error& error) {
        return {.status = Status::died, .message = error.what(), .hint = error.hint()};
      }
    }
    if (!loaded_.contains(item.handler)) {
      PythonReply reply = exchange(Json{{"load", item.handler}}, kLoadSeconds);
      if (reply.status != Status::ok || !item.request) return reply;
      loaded_.insert(item.handler);
    }
    if (!item.request) return {};
    return exchange(Json{{"handler", item.handler}, {"value", *item.request}}, settings_.timeout_s);
  }

 private:
  PythonReply exchange(const Json& request, double timeout_s) {
    const PythonProcess::Exchange got = process_->exchange(dump_json(request), timeout_s);
    PythonReply reply;
    if (got.outcome == PythonProcess::Outcome::reply) {
      try {
        return read_reply(parse_json(got.text, "the worker's reply"));
      } catch (const Error& error) {
        reply = {.status = Status::error, .message = error.what()};
      }
    } else {
      reply = failure(got, timeout_s);
    }
    discard();
    return reply;
  }

  void discard() {
    process_.reset();
    loaded_.clear();
  }

  static PythonReply read_reply(Json reply) {
    if (has_key(reply, "error"))
      return {.status = Status::error,
              .message = get_string(reply, "error", "the worker's reply"),
              .hint = get_string_or(reply, "hint", "", "the worker's reply")};
    PythonReply result;
    result.value = std::move(reply.at("value"));
    return result;
  }

  const std::string python_;
  const PythonWorkerSettings& settings_;
  const int interrupt_fd_;
  std::optional<PythonProcess> process_;
  std::set<std::string, std::less<>> loaded_;
};

// SIGPIPE of a dead worker's pipe becomes EPIPE; signals for the program go to its other threads.
void block_signals() {
  sigset_t all;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
}

}  // namespace

// A thread for each worker, which starts its process, and a queue of what waits.
class PythonWorkers::Pool {
 public:
  explicit Pool(PythonWorkerSettings s) : settings(std::move(s)) {
    TREEPO_CHECK(settings.workers > 0, "{} workers", settings.workers);
    stop_event_.reset(::eventfd(0, EFD_CLOEXEC));
    if (stop_event_.fd() < 0) throw Error("no more files can be opened", "ulimit -n");
    std::vector<std::future<void>> started;
    for (int64_t i = 0; i < settings.workers; ++i) {
      std::promise<void> promise;
      started.push_back(promise.get_future());
      threads_.emplace_back([this, p = std::move(promise)]() mutable { work(std::move(p)); });
    }
    try {
      for (std::future<void>& future : started) future.get();
    } catch (...) {
      stop();
      throw;
    }
  }

  ~Pool() { stop(); }

  std::future<PythonReply> add(Item item) {
    std::future<PythonReply> reply = item.reply.get_future();
    {
      const std::lock_guard lock(mutex_);
      queue_.push_back(std::move(item));
    }
    changed_.notify_one();
    return reply;
  }

  const PythonWorkerSettings settings;

 private:
  void work(std::promise<void> started) {
    block_signals();
    Worker worker(python_interpreter(settings.python), settings, stop_event_.fd());
    try {
      worker.start();
      started.set_value();
    } catch (...) {
      started.set_exception(std::current_exception());
      return;
    }
    while (std::optional<Item> item = next()) item->reply.set_value(worker.answer(*item));
  }

  std::optional<Item> next() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return stopping_ || !queue_.empty(); });
    if (stopping_) return std::nullopt;
    Item item = std::move(queue_.front());
    queue_.pop_front();
    return item;
  }

  void stop() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
    [[maybe_unused]] const ssize_t written = ::write(stop_event_.fd(), "\1\0\0\0\0\0\0\0", 8);
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
    for (Item& item : queue_)
      item.reply.set_value({.status = Status::died, .message = "the Python workers were stopped"});
    queue_.clear();
  }

  OwnedDescriptor stop_event_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Item> queue_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

PythonWorkers::PythonWorkers(PythonWorkerSettings settings)
    : pool_(std::make_unique<Pool>(std::move(settings))) {}

PythonWorkers::~PythonWorkers() = default;

std::future<PythonReply> PythonWorkers::submit(std::string_view handler, const Json& request) {
  return pool_->add({.handler = std::string(handler), .request = request});
}

std::vector<PythonReply> PythonWorkers::call(std::string_view handler,
                                             std::span<const Json> requests) {
  std::vector<std::future<PythonReply>> futures;
  for (const Json& request : requests) futures.push_back(submit(handler, request));
  std::vector<PythonReply> replies;
  for (std::future<PythonReply>& future : futures) replies.push_back(future.get());
  return replies;
}

void PythonWorkers::require(std::string_view handler) {
  const PythonReply reply =
      pool_->add({.handler = std::string(handler), .request = std::nullopt}).get();
  if (reply.status != Status::ok) throw Error(reply.message, reply.hint);
}

const PythonWorkerSettings& PythonWorkers::settings() const {
  return pool_->settings;
}

}  // namespace treepo
