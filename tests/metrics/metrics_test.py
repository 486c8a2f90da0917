"""Each measure against another's implementation or its definition written out, on the same features
or pictures."""

import itertools
import math

import numpy as np
import pytest
import scipy.linalg
import skimage.metrics

from gan_jax import metrics
from gan_jax.metrics import (
    diversity,
    edges,
    frechet,
    inception_score,
    kid,
    manifold,
    mind,
    pixels,
)


def gaussian(seed, n, dim=8, shift=0.0, scale=1.0):
    return shift + scale * np.random.default_rng(seed).normal(size=(n, dim))


def photo(seed, n=3, side=48, channels=3):
    """Smooth pictures with a little noise, uint8."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (n, side // 8, side // 8, channels)).repeat(8, 1).repeat(8, 2)
    return np.clip(coarse + rng.normal(0, 12, coarse.shape), 0, 255).astype(np.uint8)


# --- Frechet


def test_frechet_of_two_gaussians_in_closed_form():
    a, b = frechet.Moments.of_arrays(99, np.zeros(3), 98 * np.diag([1.0, 4.0, 9.0])), None
    b = frechet.Moments.of_arrays(99, np.array([1.0, 2.0, 2.0]), 98 * np.diag([4.0, 4.0, 1.0]))
    expected = 9 + (1 - 2) ** 2 + 0 + (3 - 1) ** 2  # |mean|^2 + sum of (s - s')^2
    assert frechet.frechet_distance(a, b) == pytest.approx(expected, rel=1e-12)


def test_frechet_against_sqrtm():
    mix = np.random.default_rng(0).normal(size=(8, 8))
    a, b = gaussian(1, 300) @ mix, gaussian(2, 400, shift=0.3, scale=1.5)
    root = scipy.linalg.sqrtm(np.cov(a.T) @ np.cov(b.T)).real
    shift = a.mean(0) - b.mean(0)
    expected = shift @ shift + np.trace(np.cov(a.T) + np.cov(b.T) - 2 * root)
    found = frechet.frechet_distance(frechet.moments(a), frechet.moments(b))
    assert found == pytest.approx(expected, rel=1e-6)
    assert frechet.frechet_distance(frechet.moments(a), frechet.moments(a)) == pytest.approx(
        0, abs=1e-9
    )


def test_frechet_estimate_nears_the_truth():
    a, b = (
        frechet.moments(gaussian(1, 40_000)),
        frechet.moments(gaussian(2, 40_000, shift=0.5, scale=2.0)),
    )
    assert frechet.frechet_distance(a, b) == pytest.approx(8 * 0.25 + 8 * 1.0, rel=0.02)


@pytest.mark.parametrize("cut", [1, 7, 256, 1000])
def test_moments_of_a_stream_are_those_of_the_whole_to_the_last_bit(cut):
    x = gaussian(3, 1000, shift=1e4).astype(np.float32)
    stream = frechet.Moments(8)
    for start in range(0, len(x), cut):
        stream.add(x[start : start + cut])
    stream.finish()
    whole = frechet.moments(x)
    np.testing.assert_array_equal(stream.mean, whole.mean)
    np.testing.assert_array_equal(stream.covariance, whole.covariance)
    np.testing.assert_allclose(
        whole.covariance, np.cov(x.T.astype(np.float64)), rtol=1e-9, atol=1e-9
    )


def test_moments_survive_their_arrays():
    a = frechet.moments(gaussian(1, 300))
    back = frechet.Moments.of_arrays(**a.arrays())
    assert back.n == 300 and frechet.frechet_distance(a, back) == pytest.approx(0, abs=1e-9)


def test_fid_asks_for_more_images_than_features():
    few, many = frechet.moments(gaussian(1, 8)), frechet.moments(gaussian(2, 100))
    with pytest.raises(ValueError, match="fid needs at least 9 generated images .*got 8. Use kid"):
        frechet.frechet_distance(many, few)
    with pytest.raises(ValueError, match="features of 8 and 5 numbers"):
        frechet.frechet_distance(many, frechet.moments(gaussian(1, 100, dim=5)))
    broken = gaussian(1, 100)
    broken[4, 4] = np.nan
    with pytest.raises(ValueError, match="a generated image has features that are not finite"):
        frechet.frechet_distance(many, frechet.moments(broken))


# --- KID


def mmd2(x, y):
    """The definition, pair by pair."""
    k = lambda a, b: (a @ b / len(a) + 1) ** 3
    n, m = len(x), len(y)
    xx = sum(k(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    yy = sum(k(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return xx + yy - 2 * sum(k(a, b) for a in x for b in y) / (n * m)


def test_kid_and_its_error_against_the_definition(monkeypatch):
    monkeypatch.setattr(metrics, "ROWS", 7)  # several blocks
    x, y = gaussian(1, 20), gaussian(2, 15, shift=0.4)
    found = kid.kid(x, y)
    assert found.value == pytest.approx(mmd2(x, y), rel=1e-9)
    left_x = np.array([mmd2(np.delete(x, i, 0), y) for i in range(20)])
    left_y = np.array([mmd2(x, np.delete(y, i, 0)) for i in range(15)])
    assert found.se == pytest.approx(math.sqrt(19 * left_x.var() + 14 * left_y.var()), rel=1e-9)


def test_kid_is_the_mean_over_random_subsets():
    x, y = gaussian(1, 30), gaussian(2, 30, shift=0.4)
    rng = np.random.default_rng(0)
    draws = [
        kid.kid(x[rng.permutation(30)[:10]], y[rng.permutation(30)[:10]]).value for _ in range(3000)
    ]
    assert np.mean(draws) == pytest.approx(
        kid.kid(x, y).value, abs=3 * np.std(draws) / math.sqrt(3000)
    )


def test_kid_is_unbiased_and_its_error_is_honest():
    same = [kid.kid(gaussian(2 * i, 60), gaussian(2 * i + 1, 40)) for i in range(200)]
    values, errors = np.array(same).T
    assert abs(values.mean()) < 2 * values.std(ddof=1) / math.sqrt(200)
    # large, not small, on one distribution
    assert values.std() < np.sqrt(np.square(errors).mean()) < 2 * values.std()
    apart = [kid.kid(gaussian(2 * i, 60), gaussian(2 * i + 1, 40, shift=0.6)) for i in range(200)]
    values, errors = np.array(apart).T
    assert np.sqrt(np.square(errors).mean()) == pytest.approx(values.std(), rel=0.2)


# --- Inception score


@pytest.mark.parametrize("cut", [1000, 64])
def test_inception_score_against_its_definition(cut):
    logits = gaussian(1, 1003, dim=7, scale=3.0)
    p = scipy.special.softmax(logits, 1)
    bounds = [math.ceil(1003 * k / 10) for k in range(11)]
    scores = []
    for a, b in itertools.pairwise(bounds):
        part = p[a:b]
        scores.append(np.exp(np.mean(scipy.special.rel_entr(part, part.mean(0)).sum(1))))
    sums = inception_score.ScoreSums(1003, 7)
    for start in range(0, 1003, cut):
        sums.add(logits[start : start + cut])
    assert sums.score() == pytest.approx((np.mean(scores), np.std(scores)), rel=1e-9)


def test_inception_score_at_its_ends():
    one_hot = 1e4 * np.eye(10)[np.arange(200) % 10]
    assert inception_score.inception_score(one_hot).mean == pytest.approx(10)
    assert inception_score.inception_score(np.zeros((200, 10))).mean == pytest.approx(1)
    with pytest.raises(
        ValueError, match="is needs at least 10 generated images, one a split, got 9"
    ):
        inception_score.inception_score(np.zeros((9, 10)))


# --- neighbors


def brute_force(real, fake, k_pr=3, k_dc=5):
    dist = lambda a, b: math.dist(a, b)
    kth = lambda xs, i, k: sorted(dist(xs[i], x) for j, x in enumerate(xs) if j != i)[k - 1]
    inside = lambda points, xs: np.mean(
        [any(dist(p, x) <= kth(xs, i, k_pr) for i, x in enumerate(xs)) for p in points]
    )
    radii = [kth(real, i, k_dc) for i in range(len(real))]
    density = sum(dist(f, r) < radius for f in fake for r, radius in zip(real, radii, strict=True))
    coverage = np.mean(
        [any(dist(f, r) < radius for f in fake) for r, radius in zip(real, radii, strict=True)]
    )
    return inside(fake, real), inside(real, fake), density / (k_dc * len(fake)), coverage


@pytest.mark.parametrize("shift", [0.0, 0.8, 20.0])
def test_precision_recall_density_coverage_against_brute_force(shift, monkeypatch):
    monkeypatch.setattr(metrics, "ROWS", 11)
    real, fake = gaussian(1, 40, dim=3), gaussian(2, 30, dim=3, shift=shift, scale=0.7)
    found = (*manifold.precision_recall(real, fake), *manifold.density_coverage(real, fake))
    assert found == pytest.approx(brute_force(real, fake), rel=1e-12)


def test_precision_sees_fidelity_and_recall_variety():
    real = gaussian(1, 400, dim=4)
    narrow, wide = gaussian(2, 400, dim=4, scale=0.3), gaussian(3, 400, dim=4, scale=3.0)
    precision, recall = manifold.precision_recall(real, narrow)
    assert precision > 0.9 and recall < 0.5
    precision, recall = manifold.precision_recall(real, wide)
    assert precision < 0.5 and recall > 0.9


def test_neighbors_against_brute_force(monkeypatch):
    monkeypatch.setattr(metrics, "ROWS", 9)
    train, samples = gaussian(1, 50, dim=3), gaussian(2, 20, dim=3)
    found = manifold.neighbors(train, samples)
    for i, sample in enumerate(samples):
        d = np.linalg.norm(train - sample, axis=1)
        own = np.linalg.norm(train - train[d.argmin()], axis=1)
        own[d.argmin()] = np.inf
        assert (found.nearest[i], found.other[i]) == (d.argmin(), own.argmin())
        np.testing.assert_allclose(
            [found.distance[i], found.spacing[i]], [d.min(), own.min()], rtol=1e-12
        )
    assert found.memorised == np.mean(found.distance < found.spacing)


def test_copies_of_images_that_the_training_set_holds_twice_are_found_out():
    once = gaussian(1, 300).astype(np.float32)
    twice = np.concatenate([once, once])
    found = manifold.neighbors(twice, once[:50])
    assert found.memorised == 1
    single = manifold.neighbors(once, once[:50])
    np.testing.assert_allclose(found.spacing, single.spacing, rtol=1e-9)
    assert manifold.neighbors(twice, gaussian(2, 100)).memorised < 0.6
    # nothing but duplicates
    assert manifold.neighbors(np.repeat(once[:1], 5, 0), once[[0, 0]]).memorised == 1


def test_copies_are_found_out():
    train = gaussian(1, 300)
    honest, copies = gaussian(2, 100), train[:100] + 1e-3 * gaussian(3, 100)
    assert manifold.neighbors(train, copies).memorised == 1
    assert manifold.neighbors(train, honest).memorised < 0.6
    mixed = manifold.neighbors(train, np.concatenate([honest, copies[:5]]))
    assert set(mixed.closest(5)) == {100, 101, 102, 103, 104}


def test_training_images_are_held_out_one_by_one(monkeypatch):
    monkeypatch.setattr(metrics, "ROWS", 9)
    train = gaussian(1, 40, dim=3)
    each = [manifold.neighbors(np.delete(train, i, 0), train[[i, i]]) for i in range(40)]
    want = np.mean([one.memorised for one in each])
    assert 0.3 < want < 0.9 and manifold.memorised_of_training(train) == want
    twice = np.concatenate([train, train[:5]])
    found = manifold.memorised_of_training(twice)
    nearest = [int(one.nearest[0] + (one.nearest[0] >= i)) for i, one in enumerate(each)]
    mutual = [nearest[n] == i for i, n in enumerate(nearest)]
    assert abs(found - np.mean(mutual)) < 0.15  # duplicates are passed over
    assert manifold.memorised_of_training(np.repeat(train[:1], 4, 0)) == 0


# --- diversity


def test_diversity_against_all_pairs(monkeypatch):
    monkeypatch.setattr(metrics, "ROWS", 9)
    x = gaussian(1, 25, dim=5)
    pairs = [np.linalg.norm(x[i] - x[j]) for i in range(25) for j in range(i)]
    assert diversity.pairwise(x) == pytest.approx(np.mean(pairs), rel=1e-9)
    assert diversity.pairwise(x, squared=True) == pytest.approx(np.mean(np.square(pairs)), rel=1e-9)
    labels = np.arange(25) % 2
    found = diversity.within_classes(x, labels, ("even", "odd"))
    assert found == {"even": diversity.pairwise(x[::2]), "odd": diversity.pairwise(x[1::2])}


def test_diversity_of_a_collapsed_class_and_of_clusters():
    x = np.concatenate([gaussian(1, 20), np.repeat(gaussian(2, 1), 20, 0)])
    found = diversity.within_classes(x, np.repeat([0, 1], 20), ("alive", "collapsed"))
    assert found["alive"] > 1 and found["collapsed"] == pytest.approx(0, abs=1e-6)
    centers = np.stack([np.full(8, -50.0), np.full(8, 50.0)])
    clusters = np.concatenate([gaussian(1, 20, shift=-50), gaussian(2, 10, shift=50)])
    expected = (diversity.pairwise(clusters[:20]) + diversity.pairwise(clusters[20:])) / 2
    assert diversity.within_clusters(clusters, centers) == pytest.approx(expected, rel=1e-9)
    copies = np.repeat(centers, 5, 0)
    assert diversity.within_clusters(copies, centers) == pytest.approx(0, abs=1e-6)


def test_an_empty_class_is_named():
    with pytest.raises(
        ValueError, match="at least 2 generated images of each class; class 'b' has 0"
    ):
        diversity.within_classes(gaussian(1, 4), np.zeros(4, int), ("a", "b"))


# --- pixels


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_psnr_and_ssim_against_scikit_image(channels):
    a, b = photo(1, channels=channels), photo(2, channels=channels)
    b[0] = np.clip(a[0] + 5.0, 0, 255)
    psnr = [
        skimage.metrics.peak_signal_noise_ratio(x, y, data_range=255)
        for x, y in zip(a, b, strict=True)
    ]
    how = dict(
        data_range=255,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        channel_axis=2,
    )
    ssim = [skimage.metrics.structural_similarity(x, y, **how) for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(pixels.psnr(a, b), psnr, rtol=1e-6)
    np.testing.assert_allclose(pixels.ssim(a, b), ssim, rtol=1e-6)


def test_known_shifts():
    a = np.full((1, 16, 16, 3), 100, np.uint8)
    b = a + 10
    assert pixels.mae(a, b) == pytest.approx([10])
    assert pixels.psnr(a, b) == pytest.approx([20 * math.log10(25.5)])
    assert pixels.psnr(a, a) == [np.inf] and pixels.ssim(a, a) == pytest.approx([1])
    c1 = (0.01 * 255) ** 2  # flat pictures differ in luminance only
    assert pixels.ssim(a, b) == pytest.approx([(2 * 100 * 110 + c1) / (100**2 + 110**2 + c1)])


def test_ms_ssim_from_scikit_image_scale_by_scale():
    a, b = photo(1, 1, 192, 1), photo(2, 1, 192, 1)
    b = (0.8 * a + 0.2 * b).astype(np.uint8)
    x, y = a[0, ..., 0].astype(float), b[0, ..., 0].astype(float)
    how = dict(
        data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
    )
    product, c1 = 1.0, (0.01 * 255) ** 2
    for scale, weight in enumerate(pixels.WEIGHTS):
        _, full = skimage.metrics.structural_similarity(x, y, **how)
        blur = lambda image: scipy.ndimage.gaussian_filter(image, 1.5, truncate=3.5)
        luminance = (2 * blur(x) * blur(y) + c1) / (blur(x) ** 2 + blur(y) ** 2 + c1)
        term = full if scale == 4 else full / luminance
        product *= term[5:-5, 5:-5].mean() ** weight
        x, y = (v.reshape(len(v) // 2, 2, -1, 2).mean((1, 3)) if scale < 4 else v for v in (x, y))
    assert pixels.ms_ssim(a, b) == pytest.approx([product], rel=1e-6)
    assert pixels.ms_ssim(a, a) == pytest.approx([1])


def test_luma_of_white_black_and_green():
    colors = np.array([[255, 255, 255], [0, 0, 0], [0, 255, 0]], np.uint8).reshape(3, 1, 1, 3)
    np.testing.assert_allclose(pixels.luma(colors).ravel(), [235, 16, 144.553])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: pixels.ssim(photo(1, side=8), photo(2, side=8)),
            ("ssim needs pictures of at least 11 pixels a side, got 8x8"),
        ),
        (
            lambda: pixels.ms_ssim(photo(1), photo(2)),
            ("ms_ssim needs pictures of at least 176 pixels a side, got 48x48"),
        ),
        (
            lambda: pixels._pair("psnr", 1, photo(1), photo(1, channels=1)),
            (r"psnr: pictures of \[3, 48, 48, 3\] and \[3, 48," r" 48, 1\]"),
        ),
        (
            lambda: pixels._pair("mae", 1, photo(1, side=16), photo(1)),
            (r"mae: pictures of \[3, 16, 16, 3\] and \[3, 48," r" 48, 3\]"),
        ),
        (lambda: pixels.mae(photo(1) * np.nan, photo(1)), "mae: a picture holds NaN or infinity"),
        (
            lambda: pixels.mae(photo(1)[:0], photo(1)[:0]),
            ("mae needs at least 1 pair of pictures, got none"),
        ),
        (lambda: pixels.luma(photo(1, channels=1)), "luma needs RGB images, got 1 channels"),
        (
            lambda: kid.kid(gaussian(1, 2), gaussian(2, 9)),
            ("kid needs at least 3 real images, got 2"),
        ),
        (
            lambda: metrics.features(
                "kid", 3, real=gaussian(1, 9), generated=gaussian(2, 9, dim=5)
            ),
            ("generated features have 5 numbers a picture, real ones 8"),
        ),
        (
            lambda: kid.kid(gaussian(1, 9), np.full((9, 8), np.nan)),
            ("kid: generated image 0 has a feature that is not finite"),
        ),
        (
            lambda: metrics.features("kid", 3, real=gaussian(1, 9)[0], generated=gaussian(1, 9)),
            (r"kid: real features must be \[n, F\], got shape" r" \[8\]"),
        ),
        (
            lambda: manifold.precision_recall(gaussian(1, 3), gaussian(2, 9)),
            ("precision_recall needs at least 4 real images, got 3"),
        ),
        (
            lambda: manifold.density_coverage(gaussian(1, 9), gaussian(2, 5)),
            ("density_coverage needs at least 6 generated images, got 5"),
        ),
        (
            lambda: manifold.neighbors(gaussian(1, 1), gaussian(2, 5)),
            ("memorisation needs at least 2 training images, got 1"),
        ),
    ],
)
def test_mistakes_are_one_line(call, message):
    with pytest.raises(ValueError, match=message) as error:
        call()
    assert "\n" not in str(error.value)


# --- Monge inception distance


def test_mind_of_a_shift_is_three_times_its_square():
    """Permuted, for rows are a set; and 0 of equal sets."""
    x, shift = gaussian(1, 200), np.linspace(-1, 1, 8)
    rows = np.random.default_rng(0).permutation(200)
    assert mind.mind(x, x[rows]) == pytest.approx(0, abs=1e-12)
    shifted = mind.mind(x, (x + shift)[rows])
    assert shifted == pytest.approx(3 * shift @ shift, rel=0.05)
    assert shifted == mind.mind(x, x + shift) != mind.mind(x, x + shift, seed=1)


def test_mind_is_the_squared_distance_of_sorted_projections():
    """In one dimension every direction is 1 or -1."""
    x, y = gaussian(1, 50, dim=1), gaussian(2, 50, dim=1, scale=2)
    wanted = 3 * np.square(np.sort(x[:, 0]) - np.sort(y[:, 0])).mean()
    assert mind.mind(x, y) == pytest.approx(wanted)
    assert mind.mind(x, 2 + y * 0) > mind.mind(x, y)
    with pytest.raises(ValueError, match="mind: 50 real images and 49 generated"):
        mind.mind(x, y[:49])


# --- edges


def line(row, side=12):
    found = np.zeros((side, side), bool)
    found[row] = True
    return found


def test_edges_agree_within_two_pixels():
    nothing = np.zeros((12, 12), bool)
    assert edges.agreement(line(4), line(4)) == edges.agreement(line(4), line(6)) == 1
    assert edges.agreement(line(4), line(7)) == 0
    assert edges.agreement(nothing, nothing) == 1
    assert edges.agreement(nothing, line(4)) == edges.agreement(line(4), nothing) == 0
    # precision 1/2, recall 1
    assert edges.agreement(line(4) | line(10), line(4)) == pytest.approx(2 / 3)
