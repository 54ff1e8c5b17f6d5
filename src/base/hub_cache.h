#pragma once

#include <string>

namespace treepo {

// Models that Hugging Face's tools have downloaded lie in a cache of this layout
// (https://huggingface.co/docs/huggingface_hub/guides/manage-cache):
//   CACHE/models--ORG--NAME/refs/main            a commit's hash
//   CACHE/models--ORG--NAME/snapshots/HASH/      the model's directory, as links
// treepo reads it and never downloads.

// $HF_HUB_CACHE, $HF_HOME/hub, $XDG_CACHE_HOME/huggingface/hub or ~/.cache/huggingface/hub: the
// first whose variable is set; empty where not even HOME is.
std::string hub_cache();

// The directory of the model that is meant by
//   a path to a directory        itself; where it is CACHE/models--ORG--NAME, its snapshot
//   "ORG/NAME", "NAME"           the snapshot in hub_cache() that refs/main names
//   "ORG/NAME@REVISION"          the one of another branch, tag or commit
// A name that leads to nothing comes back as it is: reading it gives the error.
std::string find_model(const std::string& name);

// "ORG/NAME" of a directory in a cache, CACHE/models--ORG--NAME/snapshots/HASH; else empty.
std::string hub_name(const std::string& directory);

// What to do where find_model(name) is no model's directory.
std::string missing_model_hint(const std::string& name);

}  // namespace treepo
