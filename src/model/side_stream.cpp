#include "model/side_stream.h"

#include <c10/core/DeviceGuard.h>

namespace treepo {

SideStream::SideStream(c10::Device device) {
  if (device.is_cpu()) return;
  stream_ = c10::impl::getDeviceGuardImpl(device.type())->getStreamFromGlobalPool(device);
  event_.emplace(device.type());
}

void SideStream::order(const c10::Stream& first, const c10::Stream& second) {
  event_->record(first);
  event_->block(second);
}

SideStream::Scope::Scope(SideStream& side) : side_(side) {
  if (!side.stream_) return;
  const c10::Device device = side.stream_->device();
  caller_ = c10::impl::getDeviceGuardImpl(device.type())->getStream(device);
  side.order(*caller_, *side.stream_);
  guard_.reset_stream(*side.stream_);
}

SideStream::Scope::~Scope() {
  if (!caller_) return;
  try {
    side_.order(*side_.stream_, *caller_);
  } catch (const std::exception&) {
    // The device has failed: the caller's next use of it says how.
  }
}

}  // namespace treepo
