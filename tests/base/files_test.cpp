#include "base/files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>

#include "support/expect_error.h"
#include "support/faulty_file_system.h"
#include "support/temporary_directory.h"

namespace treepo {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

TEST(Files, WriteThenRead) {
  TemporaryDirectory directory;
  const std::string path = directory / "file";
  // Zero bytes, newlines and more than one buffer of the writer.
  const std::string bytes = std::string("a\0b\n", 4) + std::string(3 << 20, 'x');
  write_file_atomically(path, bytes);
  EXPECT_EQ(read_file(path), bytes);
  write_file_atomically(path, "");
  EXPECT_EQ(read_file(path), "");
  EXPECT_THAT(file_system().list(directory.path()), ElementsAre("file"));
}

TEST(Files, ReadsFilesWithoutASize) {
  EXPECT_THAT(read_file("/proc/self/status"), HasSubstr("Pid:"));
}

TEST(Files, ReadAtNamesTheByteWhereTheFileEnds) {
  TemporaryDirectory directory;
  write_file_atomically(directory / "file", "0123456789");
  const auto file = file_system().open_for_reading(directory / "file");
  EXPECT_EQ(file->size(), 10u);
  std::string out(4, ' ');
  file->read_at(3, out);
  EXPECT_EQ(out, "3456");
  EXPECT_THAT(
      error_of([&] { file->read_at(8, out); }),
      AllOf(HasSubstr(directory / "file"), HasSubstr("ends at byte 10"), HasSubstr("cut off")));
}

TEST(Files, ErrorsNamePathOperationReasonAndRemedy) {
  TemporaryDirectory directory;
  const std::string absent = directory / "absent/file";
  EXPECT_THAT(error_of([&] { read_file(absent); }),
              AllOf(HasSubstr("cannot read " + absent), HasSubstr("No such file"),
                    HasSubstr("check the path")));
  EXPECT_THAT(error_of([&] { read_file(directory.path()); }),
              AllOf(HasSubstr("Is a directory"), HasSubstr("give a file")));
  EXPECT_THAT(error_of([&] { write_file_atomically(absent, ""); }), HasSubstr("cannot write"));
  EXPECT_THAT(error_of([&] { file_system().list(absent); }), HasSubstr("cannot list"));

  write_file_atomically(directory / "plain", "");
  EXPECT_THAT(error_of([&] { file_system().make_directories(directory / "plain/below"); }),
              AllOf(HasSubstr("create the directory"), HasSubstr("in the way")));
  const std::pair<int, const char*> reasons[] = {
      {ENOSPC, "free space"}, {EACCES, "permissions"}, {EROFS, "mounted read-only"}};
  for (const auto& [error, hint] : reasons) {
    FaultyFileSystem faulty;
    faulty.fail_from(1, error);
    ScopedFileSystem scope(faulty);
    EXPECT_THAT(error_of([&] { write_file_atomically(directory / "new", "x"); }),
                AllOf(HasSubstr("cannot write " + (directory / "new")),
                      HasSubstr(std::strerror(error)), HasSubstr(hint)));
  }
}

TEST(Files, DirectoriesAndRemoval) {
  TemporaryDirectory directory;
  FileSystem& files = file_system();
  files.make_directories(directory / "a/b/c");
  files.make_directories(directory / "a/b/c/");  // again, with a slash
  EXPECT_TRUE(files.is_directory(directory / "a/b"));
  write_file_atomically(directory / "a/b/file", "1");
  EXPECT_THAT(files.list(directory / "a/b"), ElementsAre("c", "file"));
  files.rename(directory / "a", directory / "moved");
  EXPECT_FALSE(files.exists(directory / "a"));
  files.remove(directory / "moved");
  files.remove(directory / "moved");  // absent already
  EXPECT_FALSE(files.exists(directory / "moved"));
  EXPECT_EQ(parent_directory("a/b"), "a");
  EXPECT_EQ(parent_directory("b"), ".");
  EXPECT_EQ(join_path("a", "b"), "a/b");
}

// A file is old or new after a kill at any call, and also when all that was not synced is lost.
TEST(Files, AtomicWriteSurvivesAKillAtEveryCall) {
  for (const bool power_loss : {false, true}) {
    for (int64_t call = 1;; ++call) {
      TemporaryDirectory directory;
      const std::string path = directory / "file";
      write_file_atomically(path, "old content");
      FaultyFileSystem faulty;
      faulty.kill_at(call);
      if (power_loss) faulty.lose_unsynced_at_kill();
      {
        ScopedFileSystem scope(faulty);
        try {
          write_file_atomically(path, "the new content");
        } catch (const SimulatedKill&) {
        }
      }
      const std::string found = read_file(path);
      if (!faulty.is_killed()) {
        EXPECT_EQ(call, 7);  // open, write, sync, close, rename, sync of the directory
        EXPECT_EQ(found, "the new content");
        break;
      }
      EXPECT_EQ(found, call <= 5 ? "old content" : "the new content") << "kill at call " << call;
      write_file_atomically(path, "next");  // what the kill left behind is not in the way
      EXPECT_EQ(read_file(path), "next");
    }
  }
}

TEST(Files, AFailureAtAnyCallLeavesTheOldFileAndNothingElse) {
  for (const bool full_disk : {false, true}) {
    for (int64_t call = 1; call <= 5; ++call) {
      TemporaryDirectory directory;
      const std::string path = directory / "file";
      write_file_atomically(path, "old");
      FaultyFileSystem faulty;
      full_disk ? faulty.fail_from(call, ENOSPC) : faulty.fail_at(call, EIO);
      ScopedFileSystem scope(faulty);
      try {
        write_file_atomically(path, "new");
        ADD_FAILURE() << "no error at call " << call;
      } catch (const FileError& error) {
        EXPECT_EQ(error.error_number(), full_disk ? ENOSPC : EIO);
      }
      EXPECT_EQ(read_file(path), "old") << "call " << call;
      EXPECT_THAT(file_system().list(directory.path()), ElementsAre("file"));
    }
  }
}

TEST(Files, ShortWritesAreContinued) {
  TemporaryDirectory directory;
  FaultyFileSystem faulty;
  faulty.limit_writes(3);
  ScopedFileSystem scope(faulty);
  write_file_atomically(directory / "file", "0123456789");
  EXPECT_EQ(read_file(directory / "file"), "0123456789");
}

TEST(OutputFile, DirectModeWritesInPlaceAndCountsBytes) {
  TemporaryDirectory directory;
  const std::string path = directory / "file";
  OutputFile file(path, OutputFile::Mode::direct);
  file.write("abc");
  EXPECT_EQ(file.position(), 3u);
  EXPECT_EQ(read_file(path), "");  // still buffered
  file.flush();
  EXPECT_EQ(read_file(path), "abc");
  file.write(std::string(2 << 20, 'x'));
  file.finish();
  EXPECT_EQ(file_system().file_size(path), 3u + (2 << 20));
  EXPECT_THROW(file.write("more"), CheckFailure);
  OutputFile null("/dev/null", OutputFile::Mode::direct);  // has nothing to sync
  null.write("x");
  null.finish();
}

TEST(OutputFile, AnAbandonedAtomicFileNeverAppears) {
  TemporaryDirectory directory;
  {
    OutputFile file(directory / "file", OutputFile::Mode::atomic);
    file.write("half of it");
    file.flush();
  }
  EXPECT_THAT(file_system().list(directory.path()), ElementsAre());
}

TEST(AppendFile, ContinuesAndTruncates) {
  TemporaryDirectory directory;
  const std::string path = directory / "log";
  AppendFile(path).append("one\n");
  AppendFile log(path);
  EXPECT_EQ(log.size(), 4u);
  log.append("two\n");
  log.truncate(4);
  log.append("three\n");
  log.sync();
  EXPECT_EQ(read_file(path), "one\nthree\n");
  EXPECT_EQ(log.size(), 10u);
  EXPECT_THROW(log.truncate(11), CheckFailure);
}

TEST(AppendFile, AFailedAppendIsTakenBack) {
  TemporaryDirectory directory;
  const std::string path = directory / "log";
  FaultyFileSystem faulty;
  faulty.fail_at(3, ENOSPC);
  ScopedFileSystem scope(faulty);
  AppendFile log(path);
  log.append("first\n");
  EXPECT_THROW(log.append("a second, which the disk takes half of\n"), FileError);
  EXPECT_EQ(read_file(path), "first\n");
  log.append("third\n");
  EXPECT_EQ(read_file(path), "first\nthird\n");
}

}  // namespace
}  // namespace treepo
