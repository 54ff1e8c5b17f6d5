#pragma once

#include <c10/core/Event.h>
#include <c10/core/StreamGuard.h>

#include <optional>

namespace treepo {

// A stream of its own, for CUDA records graphs from any but the default one. Nothing on the CPU.
class SideStream {
 public:
  explicit SideStream(c10::Device device);

  // The current stream while this lives. Its work starts after what the caller's stream was given
  // before, and what that is given later starts after it.
  class Scope {
   public:
    explicit Scope(SideStream& side);
    ~Scope();
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    SideStream& side_;
    std::optional<c10::Stream> caller_;
    c10::OptionalStreamGuard guard_;
  };

 private:
  void order(const c10::Stream& first, const c10::Stream& second);

  std::optional<c10::Stream> stream_;
  std::optional<c10::Event> event_;
};

}  // namespace treepo
