"""What the columns of tables are: one line each, whichever tables have them.

Kinds: a ``word`` is never empty, ``text`` may be; a ``number`` may be empty (not measured) or infinite, a ``whole`` one
is there and whole, a ``finite`` and a ``positive`` one are there and that; a ``flag`` is True or False, ``maybe`` may
be empty too.
"""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["word", "text", "number", "whole", "finite", "positive", "flag", "maybe"]


@dataclass(frozen=True)
class Column:
    """One column: its kind, what is in it, its unit ("" for words and plain numbers), and the words it may hold."""

    name: str
    kind: Kind
    about: str
    unit: str = ""
    words: tuple[str, ...] = ()


def _read(kind: Kind, lines: str) -> dict[str, Column]:
    """Columns of one kind from lines ``name [unit] about``; words that exhaust what is allowed stand in braces."""
    found = {}
    for line in filter(None, map(str.strip, lines.splitlines())):
        name, about = line.split(maxsplit=1)
        unit = ""
        words: tuple[str, ...] = ()
        if about.startswith("["):
            unit, about = (part.strip() for part in about[1:].split("]", 1))
        if about.startswith("{"):
            listed, about = (part.strip() for part in about[1:].split("}", 1))
            words = tuple(listed.split())
        found[name] = Column(name, kind, about, unit, words)
    return found


COLUMNS: dict[str, Column] = {
    **_read(
        "word",
        """
        checkpoint   the checkpoint's path as it was named
        network      the network's name; one of this project's that doesn't spike is named apart: NAME-relu
        data         the data set's name
        method       how the network was trained: a free label
        training     the loss it was trained with; of subjects whose factors name none, the method
        loss         the loss that the landscape is made of
        split        {train test} images measured on
        operator     whose curvature: hessian (formal), gauss_newton, remainder, fisher, empirical_fisher
        coordinates  {raw filter} filter: in units of each filter's norm, in which rescaling changes nothing
        status       {measured diverged failed} what became of the network
        estimator    how the trace was estimated: xtrace, hutchinson, pyhessian, or none (no time was left)
        direction    what is moved along: top, top 2 … (formal eigenvectors), random, gradient, momentum, step-t
        directions   what a surface is spanned by: random, top, trajectory …
        kind         line or plane; of paths line or bezier; of layers conv, linear, matmul, neuron (or ReLU), total …
        layer        the module's name; total for the whole network
        measure      the measure's id
        title        the measure in words
        rescaling    {invariant changes} whether the value changes when weights before a BatchNorm are rescaled
        norm         which norm
        perturbation what disturbs the network
        optimizer    that of the checkpoint
        state        whether the optimizer went on from the checkpoint's state, or fresh
        matrix       {hessian preconditioned} the matrix whose top eigenvalue it is
        curvature    {formal exact} formal where a spike's derivative is a surrogate
        other        the path's end, or the other timestep
        other_method how the path's end was trained
        other_training the loss that the path's end was trained with
        fitted       the loss that the curve was trained under; - for the line
        statistics   BatchNorm's: trained, recalibrated, interpolated
        frames       how a stream gave its frames: repeated, truncated, recut
        gap          what the measure is set against
        among        all checkpoints, within methods, or one method's
        logits       {plain network example} as they are; over the network's rms; each example's over its own
        along        {line plane noise} what lies at a radius
        verdict      at which radii which one is flatter, in words; of a control passed, failed or undecided
        reference    the method that others are compared with
        factor       a setting that differs, or method
        level        one of the factor's values; what a control was asked with
        other_level  the other one
        weighting    {images hoeffding none} what pairs are weighed by
        """,
    ),
    **_read(
        "text",
        """
        axes_loss    the loss that the directions were made from, or any
        phases       what changed on the way
        until_loss_of the loss that until_loss is about
        cut          how a stream of events was cut
        surrogate    what stands in for a spike's derivative
        precision    of training
        recipe       the paper's, if it was one
        recipe_changes what was asked otherwise
        setting      what else a measure was asked with
        over         what the standard error is over
        remark       why a value is missing
        reason       why the network was not measured
        unit         the value's unit
        side         {flatness scale-free robustness generalization complexity confidence dynamics cost} its subject
        better       {lower higher} which values are the flatter, the more robust, the better ones
        flatter      the flatter method, where the interval says that one is
        more_robust  the more robust method, likewise
        trust        reasons not to trust the row, separated by semicolons; empty: none found
        effect_kind  {g_z g} standardized difference: paired or not
        spread       {seeds images} what the interval's width is made of
        how          what chance was made of: draws, sign flips, all sign flips
        depends_on_scale where what plain logits decide is not decided so at one scale
        headline     the measure chosen to speak first, where it is there
        within       the method whose networks are compared by a factor; empty where methods are
        interval     {degenerate} an interval that says nothing, as all resamples are alike
        control      which reference measure it is: oracle, random …; empty for a measure; in controls what it is put to
        why          what a verdict rests on, or why there is none
        given        what a partial τ is given; empty for none
        held         factors that the information is given
        environment  the one with the largest sign error
        fixed        the levels of the other factors
        """,
    ),
    **_read(
        "whole",
        """
        seed         the training run's seed
        epoch        epochs trained; 0 is before the first
        rank         1, 2 … from the largest eigenvalue, −1 … from the smallest
        probe        which random probe
        draw         which random draw
        timestep     1 … T; 0 is the whole
        timesteps    T, the steps given at inference
        trained_timesteps  T of the training run
        images       how many images; 0 where a surface is interpolated
        points       of a line's or a plane's grid
        evaluated    how many of them were evaluated
        held_out     how many of those judge the interpolant, and are in none
        batches      how many batches
        n            pairs of one seed, the smaller group, or subjects
        seeds        how many seeds they have
        draws        how many random draws, or restarts
        step         optimizer steps from the checkpoint on
        other_seed   of the path's end
        axis         which of the surface's axes
        axes_seed    of the directions
        minimum      numbered, the most persistent first
        parent       the minimum it meets; −1 for the lowest
        image        which image of the split, from 0
        """,
    ),
    **_read(
        "finite",
        """
        alpha        along the first direction
        beta         along the second, 0 on a line; of momentum, the decay of its moving average
        t            along the path, 0 … 1
        strength     of the perturbation
        """,
    ),
    **_read(
        "positive",
        """
        radius       ‖Δw‖, or what the measure is asked with
        relative_radius ‖Δw‖/‖w‖
        relative_step [1] length of the step over ‖w‖
        """,
    ),
    **_read(
        "flag",
        """
        converged    whether the iteration met its tolerance
        """,
    ),
    **_read(
        "maybe",
        """
        certain            whether the band is on either side of zero before and after
        vary_data          whether the training images were drawn with the seed
        binary_frames      whether frames of events say only whether there were any
        spiking            whether neurons spike
        detach_reset       whether the reset is left out of the derivative
        interpolated       whether nothing was evaluated there, but around it
        accuracy_converged whether the accuracy's error met the tolerance, which asks for no image of its own
        complete           False where the time was up before all probes had all steps
        doubling_reached   False: the surface ends first, and the radius is a lower bound
        half_width_reached likewise
        decided            |value| exceeds two standard errors
        warm               started from an earlier snapshot
        paired             by seed
        until_loss_reached whether the run ended at the training loss asked for
        """,
    ),
}
COLUMNS |= _read(
    "number",
    """
    train_loss_sdt [nats] SDT's loss on training images, eval mode
    train_loss_tet [nats] TET's
    test_loss_sdt  [nats] SDT's on test images
    test_loss_tet  [nats] TET's
    train_accuracy [1] on training images
    test_accuracy  [1] on test images
    train_loss     the loss trained with, where that isn't SDT's or TET's, on training images, eval mode
    test_loss      the same on test images
    learning_rate  [1] the optimizer's
    seconds        [s] wall time
    mse_weight     [1] λ, the weight of the regulariser
    train_images   how many images it was trained on
    momentum       [1] SGD's, or Adam's first beta
    weight_decay   the optimizer's
    accumulate     batches to a step
    evaluate_train training images that history is of; empty: all
    evaluate_every epochs from one evaluation to the next
    epochs         at most
    epochs_done    until it ended
    until_loss     [nats] the training loss asked for
    mse_target     [1] φ, what the regulariser draws outputs to
    label_smoothing [1] of the labels
    split_seed     what drew the training images, or their order
    random_labels  [1] share of the training images with a label drawn at random
    image_size     pixels a side
    decay          [1] of the membrane
    width          [1] of the surrogate
    parameters     weights of the network
    augmented      1 where training images were augmented
    eigenvalue     [loss/weight²] of the matrix
    residual       [loss/weight²] ‖Hv − λv‖
    relative_residual [1] over |λ|
    products       of the matrix with a vector
    symmetry       [1] |u·Hv − v·Hu| over the products' size
    gradient_overlap [1] (vᵀg)²/‖g‖² of the eigenvector with the gradient
    trace          [loss/weight²] of the matrix
    stderr         standard error of the value
    probes         random probes
    node           [loss/weight²] where the spectral density has weight
    weight         [1] how much; a probe's sum to 1
    second_difference [loss/weight²] of the true loss
    second_difference_stderr over images
    mean_rise      [loss] of the true loss
    mean_rise_stderr over images
    participation  [1] near 1/n a few of the n make the number
    formal         [loss/weight²] uᵀHu with the formal Hessian
    formal_stderr  its standard error
    examples_stderr over images
    weights        how many
    top_eigenvalue [loss/weight²] of the row's matrix
    share          [1] of the whole
    value          the number itself, in the row's unit
    rise_stderr    of value − value at the origin, over the same images
    sampling_stderr for not having taken all images asked for
    tolerance      [1] the error asked for, over the range
    range          [loss] largest less smallest height of a surface
    seen           [loss] root mean square error of the interpolant at the points held out
    largest        [loss] the largest error there
    error          [loss] what a surface's root mean square error is below, with 95 % confidence
    accuracy_range [1] largest less smallest accuracy
    accuracy_error [1] what its root mean square error is below, with 95 % confidence
    accuracy       [1] of the mean output
    accuracy_stderr over images
    images_stderr  over images
    accuracy_images_stderr over images
    explained      [1] of the snapshots' squared distances, by this axis
    low            lower end: of the 95 % interval; of an axis's range
    high           upper end
    distance       ‖Δw‖, of trajectories in ‖w‖
    off_plane      distance from the plane
    centre         [loss] at the weights as trained
    doubling_radius [1] how far the loss stays below twice that, in α
    rise           [loss] above the centre
    half_width     [1] how far the loss stays within rise of the centre
    roughness      [loss] how far neighbouring points jump
    minima         local minima
    significant_minima those above threshold
    persistence    [loss] the largest but the lowest minimum's
    threshold      what persistence, or confidence, is held against
    infinite       points without a finite loss
    birth          [loss] of a minimum
    death          [loss] at which it meets a lower one
    saddle_alpha   where
    saddle_beta    where
    error_norm     [1] √mean_i ‖T δ_i(t)‖²
    gradient_norm  [loss/weight] ‖ḡ(t)‖
    gain           gradient_norm/error_norm; of stopping: accuracy above the rival's
    gain_stderr    over images
    cosine_to_total [1] cos(ḡ(t), ḡ)
    noise          [loss/weight] √mean_b ‖g_b − ḡ‖²
    coherence      [1] ‖m_K‖ / mean_b ‖g_b‖
    coherence_null [1] if the gradient of these images were zero
    coherence_null_sampled [1] if they were a sample of images whose mean gradient is zero
    cosine         [1] of two timesteps' gradients
    predicted      [loss] decrease by the gradient
    realised       [loss] decrease of the loss
    ratio          [1] realised over predicted
    cosine_to_momentum [1] with the momentum before the gradient joined it
    kept           [1] of the gradients' length, by momentum
    kept_null      [1] of noise; where batches share no image, at most
    kept_null_low  [1] of noise, at least
    momentum_norm  [loss/weight] ‖m‖
    steps          optimizer steps
    loss_sdt       [nats] SDT's, no regulariser
    loss_sdt_stderr over images
    loss_tet       [nats] TET's, no regulariser
    loss_tet_stderr over images
    loss_at_step   [nats] cross-entropy of one step's output
    loss_at_step_stderr over images
    relative_distance ‖Δw‖/‖w‖
    correct        [1] whether the class with the largest mean output is the label, or the share of places that are
    accuracy_cumulative [1] of the mean output up to T
    accuracy_cumulative_stderr over images
    accuracy_at_step [1] of one step's output
    accuracy_at_step_stderr over images
    agreement_cumulative [1] with the final class
    agreement_cumulative_stderr over images
    agreement_at_step [1] of one step's output
    agreement_at_step_stderr over images
    settling       [1] share that settles exactly at T: with its final class from T on, and not before
    settling_stderr over images
    confidence     [1] largest softmax probability of the mean output
    confidence_stderr over images
    ece            [1] expected calibration error
    ece_stderr     by bootstrap
    ece_null       [1] of a calibrated network of such confidences
    bins           of the calibration error
    limit          the largest T; or the largest curvature that the optimizer can stand
    mean_steps     used when stopping at threshold
    mean_steps_stderr over images
    fixed_accuracy [1] with as many steps for all
    undecided      [1] share that never reaches the threshold
    neurons        that feed the layer, or are in it
    spikes         that reach the layer, or that it fires, per image
    firing_rate    [1] spikes per neuron and step
    additions      per image
    multiplications per image
    updates        of membranes, per image
    window         how many neurons' spikes one value that is read averages, 1 without average pooling; the largest
    joules         [J] per image
    joules_stderr  over images
    twin_joules    [J] of the twin without spikes
    joules_by_rate_stderr over images
    joules_by_rate [J] by mean rates times synapses, as papers count
    training_loss  [nats] the row's loss on the images measured
    excess         [loss] over the chord between the ends
    excess_stderr  over images, paired
    barrier        [loss] the largest excess
    crossed        [loss] the barrier with t picked on other images
    position       t of the barrier
    start          [loss] at t = 0
    end            [loss] at t = 1
    accuracy_drop  [1] largest, below the chord
    accuracy_drop_stderr over images
    batch_size     images a step
    line_loss      [loss] mean over the line
    curve_loss     [loss] mean over the curve
    line_gradient  norm, in the control point
    curve_gradient norm, in the control point
    stretch        [1] length over the chord's
    reference_mean of the reference's subjects
    method_mean    of the method's subjects
    twin_mean      of the twins without spikes
    difference     method minus reference
    sampling_error of the difference, over images alone
    p              two-sided
    p_adjusted     Holm's, over the rows about the same question
    effect         standardized difference
    rms            [1] of the logits, at the weights
    rms_moved      [1] of the logits, at this radius
    crossover      radius at which the mean difference changes sign; empty where it doesn't
    crossover_low  its 95 % interval
    crossover_high its 95 % interval
    beyond         first radius at which a loss isn't finite, so that nothing is said; empty where all are
    rows           of the comparison, with an interval
    reference_rows that name the reference
    method_rows    that name the method
    p_reference    the chance of so many for one side, where no row differs
    p_method       likewise
    percentile     the 95th of the larger count, where no row differs
    independent    how many independent rows hang together as much as these; empty below 5 pairs
    tau            [1] Kendall's τ-b
    granulated     [1] Ψ, the mean over factors of ψ
    granulated_low its 95 % interval, over seeds
    granulated_high its 95 % interval
    information    [1] conditional mutual information, normalized; of table generalization the least, K
    information_low its 95 % interval, over seeds
    information_high its 95 % interval
    information_chance [1] what K of the gap dealt anew reaches in 5 % of cases
    sign_error     [1] share of pairs in the wrong order, by weight; of table generalization the mean over environments
    sign_error_low its 95 % interval, over seeds
    sign_error_high its 95 % interval
    worst_error    [1] the largest sign error of an environment
    environments   pairs of settings that differ in one factor, with pairs enough whose order is sure
    environments_left_out those with too few
    effective      pairs, by their weights: (Σw)²/Σw²
    pairs          of networks
    contexts       settings of the other factors, and seeds
    combinations   of levels that the networks have
    missing        networks without the measure or the gap, those that diverged in training among them, in no rank
    diverged       networks ranked with an infinite measure or gap
    psi            [1] ψ: Kendall's τ where one factor differs, mean over contexts
    """,
)
