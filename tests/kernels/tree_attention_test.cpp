// Holds the cached tree attention against a loop over every (query, key) in double.

#include "kernels/tree_attention_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/random.h"
#include "base/threads.h"
#include "each_isa.h"

namespace treepo {
namespace {

TREEPO_EACH_ISA(TreeAttention);

struct Case {
  TreeAttentionWork work;
  AttentionShape shape;
  int32_t num_queries = 0, num_pages = 0;
  int64_t query_stride = 0;
  std::vector<double> queries, keys, values;
};

// Runs of random length over shuffled pages, each read by a random set of queries; run 0 by all.
class RandomCase {
 public:
  explicit RandomCase(uint32_t seed) : stream_(seed, Purpose::generate) {}

  Case make(int64_t longest_run) {
    Case made;
    made.shape.num_kv_heads = integer(1, 3);
    made.shape.num_heads = made.shape.num_kv_heads * integer(1, 4);
    made.num_queries = integer(1, 70);
    if (integer(0, 1) == 0) {
      made.shape.head_dim = 2 * integer(1, 40);
      made.work.page_tokens = integer(0, 1) ? integer(1, 20) : 8 * integer(1, 6);
    } else {  // as models have them: read where they lie
      made.shape.head_dim = 64 * integer(1, 2);
      made.work.page_tokens = 16 * integer(1, 2);
    }
    const int32_t num_runs = integer(1, 12);
    for (int32_t run = 0; run < num_runs; ++run) add_run(made, run, integer(1, longest_run));
    shuffle_pages(made);
    fill(made);
    return made;
  }

 private:
  int32_t integer(int64_t low, int64_t high) {
    return static_cast<int32_t>(stream_.integer(low, high, 0, count_++));
  }

  void add_run(Case& made, int32_t run, int32_t tokens) {
    TreeAttentionWork& work = made.work;
    for (int32_t left = tokens; left > 0;) {  // pages need not be full inside a run
      const int32_t here = integer(1, std::min(left, work.page_tokens));
      work.piece_page.push_back(made.num_pages++);
      work.piece_tokens.push_back(here);
      left -= here;
    }
    work.run_piece_begin.push_back(static_cast<int32_t>(work.piece_page.size()));
    work.run_tokens.push_back(tokens);
    for (int32_t query = 0; query < made.num_queries; ++query)
      if (run == 0 || integer(0, 2) == 0) {
        work.pair_query.push_back(query);
        work.pair_visible.push_back(integer(1, tokens));
      }
    if (work.run_pair_begin.back() == static_cast<int32_t>(work.pair_query.size())) {
      work.pair_query.push_back(0);
      work.pair_visible.push_back(tokens);
    }
    work.run_pair_begin.push_back(static_cast<int32_t>(work.pair_query.size()));
  }

  void shuffle_pages(Case& made) {
    auto& pages = made.work.piece_page;
    for (size_t i = pages.size(); i > 1; --i)
      std::swap(pages[i - 1], pages[static_cast<size_t>(integer(0, static_cast<int64_t>(i) - 1))]);
  }

  void fill(Case& made) {
    const int64_t dim = made.shape.head_dim;
    made.query_stride = made.shape.num_heads * dim + integer(0, 50);
    made.queries = normals(made.num_queries * made.query_stride, 1);
    const int64_t cache =
        int64_t{made.num_pages} * made.shape.num_kv_heads * made.work.page_tokens * dim;
    made.keys = normals(cache, 2);
    made.values = normals(cache, 3);
  }

  std::vector<double> normals(int64_t count, uint32_t lane) {
    std::vector<double> out(static_cast<size_t>(count));
    for (size_t i = 0; i < out.size(); ++i)
      out[i] = stream_.normal(7, static_cast<uint32_t>(i), lane);
    return out;
  }

  RandomStream stream_;
  uint32_t count_ = 0;
};

double largest(const std::vector<double>& x) {
  double most = 0;
  for (const double v : x) most = std::max(most, std::abs(v));
  return most;
}

std::vector<double> naive(const Case& c, double scale, double* largest_score = nullptr) {
  const int64_t dim = c.shape.head_dim, group = c.shape.num_heads / c.shape.num_kv_heads;
  std::vector<double> out(static_cast<size_t>(c.num_queries * c.shape.num_heads * dim));
  for (int32_t query = 0; query < c.num_queries; ++query) {
    for (int64_t head = 0; head < c.shape.num_heads; ++head) {
      const double* q = c.queries.data() + query * c.query_stride + head * dim;
      std::vector<double> scores;
      std::vector<const double*> values;
      for (size_t run = 0; run < c.work.run_tokens.size(); ++run) {
        int32_t visible = 0;
        for (int32_t p = c.work.run_pair_begin[run]; p < c.work.run_pair_begin[run + 1]; ++p)
          if (c.work.pair_query[static_cast<size_t>(p)] == query)
            visible = c.work.pair_visible[static_cast<size_t>(p)];
        for (int32_t piece = c.work.run_piece_begin[run]; piece < c.work.run_piece_begin[run + 1];
             ++piece)
          for (int32_t t = 0; t < c.work.piece_tokens[static_cast<size_t>(piece)]; ++t) {
            if (visible-- <= 0) continue;
            const int64_t page = c.work.piece_page[static_cast<size_t>(piece)];
            const int64_t head_at =
                (page * c.shape.num_kv_heads + head / group) * c.work.page_tokens * dim;
            double score = 0;
            for (int64_t i = 0; i < dim; ++i)
              score += q[i] * c.keys[static_cast<size_t>(head_at + i * c.work.page_tokens + t)];
            scores.push_back(scale * score);
            values.push_back(c.values.data() + head_at + t * dim);
          }
      }
      const double most = *std::max_element(scores.begin(), scores.end());
      if (largest_score) *largest_score = std::max(*largest_score, largest(scores));
      double total = 0;
      for (double& s : scores) total += s = std::exp(s - most);
      double* to = out.data() + (query * c.shape.num_heads + head) * dim;
      for (size_t k = 0; k < scores.size(); ++k)
        for (int64_t i = 0; i < dim; ++i) to[i] += scores[k] / total * values[k][i];
    }
  }
  return out;
}

// One plan serves case after case, as one step after another.
const TreeAttentionPlan& plan_of(const Case& c) {
  static TreeAttentionPlan plan;
  plan.make(c.work, c.shape, c.num_queries);
  return plan;
}

template <typename T>
std::vector<T> run(const Case& c, double scale) {
  const std::vector<T> queries(c.queries.begin(), c.queries.end());
  const std::vector<T> keys(c.keys.begin(), c.keys.end());
  const std::vector<T> values(c.values.begin(), c.values.end());
  std::vector<T> out(static_cast<size_t>(c.num_queries * c.shape.num_heads * c.shape.head_dim),
                     T{99});
  tree_attention_cpu<T>(plan_of(c), c.work, c.shape, static_cast<T>(scale), queries.data(),
                        c.query_stride, keys.data(), values.data(), out.data());
  return out;
}

// Rounds numbers to bfloat16.
std::vector<BFloat16> narrowed(std::vector<double>& x) {
  std::vector<BFloat16> stored;
  for (double& v : x) {
    stored.push_back(to_bfloat16(static_cast<float>(v)));
    v = to_float(stored.back());
  }
  return stored;
}

// With keys and values rounded to bfloat16, in the case, too.
std::vector<float> run_narrowed(Case& c, double scale) {
  const std::vector<BFloat16> keys = narrowed(c.keys), values = narrowed(c.values);
  const std::vector<float> queries(c.queries.begin(), c.queries.end());
  std::vector<float> out(static_cast<size_t>(c.num_queries * c.shape.num_heads * c.shape.head_dim),
                         99.0f);
  tree_attention_cpu<BFloat16>(plan_of(c), c.work, c.shape, static_cast<float>(scale),
                               queries.data(), c.query_stride, keys.data(), values.data(),
                               out.data());
  return out;
}

template <typename T>
double largest_difference(const std::vector<T>& a, const std::vector<double>& b) {
  EXPECT_EQ(a.size(), b.size());
  double most = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double difference = std::abs(static_cast<double>(a[i]) - b[i]);
    if (std::isnan(difference)) return std::numeric_limits<double>::infinity();
    most = std::max(most, difference);
  }
  return most;
}

TEST_P(TreeAttention, EqualsNaiveLoopOnRandomWork) {
  for (uint32_t seed = 0; seed < 40; ++seed) {
    const Case c = RandomCase(seed).make(seed % 10 == 0 ? 1300 : 90);
    c.work.check_invariants(c.num_queries);
    const double scale = 1 / std::sqrt(static_cast<double>(c.shape.head_dim));
    const std::vector<double> expected = naive(c, scale);
    EXPECT_LT(largest_difference(run<double>(c, scale), expected), 1e-13) << "seed " << seed;
    EXPECT_LT(largest_difference(run<float>(c, scale), expected), 3e-6) << "seed " << seed;
  }
}

TEST_P(TreeAttention, SurvivesLargeScores) {
  Case c = RandomCase(3).make(300);
  for (double& q : c.queries) q *= 300;
  const std::vector<double> expected = naive(c, 1);
  EXPECT_LT(largest_difference(run<double>(c, 1), expected), 1e-10);
}

// Scores of some hundreds, which exceed those of a run's first tile by more than a float's exponent
// holds. Queries are whole numbers and keys eighths, so that the scores themselves are exact. What
// is rounded is, for scores of at most S, an exponent: times log2(e), itself rounded, less a
// reference that may move: less than 8 S u. A weight is as far off, and so is their total; sums
// over N keys add N u to both.
TEST_P(TreeAttention, SurvivesLargeScoresInFloat) {
  constexpr double u = 0x1p-24;
  for (uint32_t seed = 100; seed < 104; ++seed) {
    Case c = RandomCase(seed).make(1300);
    for (double& q : c.queries) q = std::round(20 * q);
    for (double& k : c.keys) k = std::round(8 * k) / 8;
    const std::vector<float> out = run_narrowed(c, 1);
    double most_score = 0;
    const std::vector<double> expected = naive(c, 1, &most_score);
    const double num_keys =
        std::accumulate(c.work.run_tokens.begin(), c.work.run_tokens.end(), 0.0);
    const double allowed = u * (2 * 8 * most_score + 2 * num_keys) * largest(c.values);
    EXPECT_LT(largest_difference(run<float>(c, 1), expected), allowed) << "seed " << seed;
    EXPECT_LT(largest_difference(out, expected), allowed) << "seed " << seed;
  }
}

TEST_P(TreeAttention, SameBitsForAnyNumberOfThreads) {
  for (uint32_t seed = 0; seed < 6; ++seed) {
    const Case c = RandomCase(seed).make(1300);
    set_num_threads(1);
    const std::vector<float> one = run<float>(c, 0.3);
    for (const int threads : {2, 3, 7}) {
      set_num_threads(threads);
      EXPECT_EQ(run<float>(c, 0.3), one) << threads << " threads, seed " << seed;
    }
  }
  set_num_threads(0);
}

// Keys and values that bfloat16 holds exactly give the same bits from either kind of cache.
TEST_P(TreeAttention, SameBitsFromBFloat16AsFromFloat) {
  for (uint32_t seed = 0; seed < 20; ++seed) {
    Case c = RandomCase(seed).make(seed % 10 == 0 ? 1300 : 90);
    const std::vector<float> out = run_narrowed(c, 0.3);
    EXPECT_EQ(out, run<float>(c, 0.3)) << "seed " << seed;
  }
}

// A query's result is made of its own runs only, in a fixed order.
TEST_P(TreeAttention, SameBitsWhateverElseIsInTheBatch) {
  Case whole = RandomCase(20).make(700);
  const std::vector<float> expected = run<float>(whole, 0.3);
  for (int32_t kept = 0; kept < whole.num_queries; kept += 5) {
    Case alone = whole;
    alone.work.pair_query.clear();
    alone.work.pair_visible.clear();
    alone.work.run_pair_begin.assign(1, 0);
    alone.work.run_piece_begin.assign(1, 0);
    alone.work.run_tokens.clear();
    alone.work.piece_page.clear();
    alone.work.piece_tokens.clear();
    for (size_t r = 0; r < whole.work.run_tokens.size(); ++r)
      for (int32_t p = whole.work.run_pair_begin[r]; p < whole.work.run_pair_begin[r + 1]; ++p) {
        if (whole.work.pair_query[static_cast<size_t>(p)] != kept) continue;
        const auto first = whole.work.run_piece_begin[r], last = whole.work.run_piece_begin[r + 1];
        alone.work.piece_page.insert(alone.work.piece_page.end(),
                                     whole.work.piece_page.begin() + first,
                                     whole.work.piece_page.begin() + last);
        alone.work.piece_tokens.insert(alone.work.piece_tokens.end(),
                                       whole.work.piece_tokens.begin() + first,
                                       whole.work.piece_tokens.begin() + last);
        alone.work.run_piece_begin.push_back(static_cast<int32_t>(alone.work.piece_page.size()));
        alone.work.run_tokens.push_back(whole.work.run_tokens[r]);
        alone.work.pair_query.push_back(0);
        alone.work.pair_visible.push_back(whole.work.pair_visible[static_cast<size_t>(p)]);
        alone.work.run_pair_begin.push_back(static_cast<int32_t>(alone.work.pair_query.size()));
      }
    alone.num_queries = 1;
    alone.queries.assign(whole.queries.begin() + kept * whole.query_stride,
                         whole.queries.begin() + (kept + 1) * whole.query_stride);
    const std::vector<float> result = run<float>(alone, 0.3);
    const auto size = static_cast<std::ptrdiff_t>(result.size());
    EXPECT_TRUE(std::equal(result.begin(), result.end(), expected.begin() + kept * size))
        << "query " << kept;
  }
}

}  // namespace
}  // namespace treepo
