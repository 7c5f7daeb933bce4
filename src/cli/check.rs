//! `campaignd check`: what is wrong in campaign and settings files. Needs no ledger and no network.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use clap::ValueEnum;
use jiff::{SignedDuration, Timestamp};

use super::{
    Ended, Exit, Failure,
    files::Source,
    output,
    plan::{self, burden::overrun},
    problems,
};
use crate::{
    campaign::Campaign,
    document::{Code, Problem, Severity, Value, problem, yaml},
    settings::{self, LoadError, Loaded, Origin, Settings},
};

/// Tell what is wrong in campaign and settings files: all problems at once, each with its place.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Needs no ledger and no network: the command for CI. Campaigns are checked against the \
    settings that --config names, or that are found, or are built in. A file that has `gateways` is checked as \
    a settings file. Exit code 3: there are problems; 4: a path is not there.\n\n\
    Examples:\n  campaignd check\n  campaignd check campaigns/ more/new-year.yaml\n  \
    campaignd check --strict --format github\n  git show HEAD:campaigns/hello.yaml | campaignd check -"
)]
pub struct CheckArgs {
    /// Files and folders, `-` for stdin [default: the settings' campaigns folder]
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Let warnings count as problems
    #[arg(long)]
    strict: bool,
    /// How problems are written
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = CheckFormat::Human)]
    format: CheckFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum CheckFormat {
    /// With the source line and a caret
    Human,
    /// A list of objects
    Json,
    /// Annotations on a pull request
    Github,
}

pub fn run(args: &CheckArgs, config: Option<&Path>, now: Timestamp) -> Ended {
    let mut checked = Checked::default();
    let settings = checked.settings(config)?;
    let mut sources = Vec::new();
    for path in &args.paths {
        match path.to_str() {
            Some("-") => sources.push(Source::stdin()?),
            _ => sources.extend(Source::at(path)?),
        }
    }
    if let Some(settings) = &settings {
        if args.paths.is_empty() {
            sources = Source::at(&settings.campaigns)?;
        }
        checked.files(sources, settings, now);
    }
    problem::sort(&mut checked.problems);
    let format = match args.format {
        CheckFormat::Human => problems::Format::Human { colours: output::colours() },
        CheckFormat::Json => problems::Format::JSON,
        CheckFormat::Github => problems::Format::GitHub,
    };
    let source_of = |name: &str| checked.texts.get(name).cloned();
    output::write(&problems::write(&checked.problems, format, &source_of))?;
    output::say(checked.summary());
    let counts = checked.problems.iter().any(|problem| args.strict || problem.severity == Severity::Error);
    Ok(if counts { Exit::Problems } else { Exit::Good })
}

/// What has been looked at, and what was wrong with it.
#[derive(Default)]
struct Checked {
    problems: Vec<Problem>,
    /// The texts of files with problems.
    texts: BTreeMap<String, String>,
    /// Where the settings came from.
    settings_file: Option<PathBuf>,
    campaign_files: usize,
    settings_files: usize,
    /// Nothing was checked against settings that cannot be read.
    without_settings: bool,
}

impl Checked {
    /// The settings to check against, when they are sound.
    fn settings(&mut self, config: Option<&Path>) -> Result<Option<Settings>, Failure> {
        match settings::load(config) {
            Ok(Loaded { settings, origin, warnings }) => {
                if let Origin::File(path) = origin {
                    let text = std::fs::read_to_string(&path).unwrap_or_default();
                    self.note_settings(path, text, warnings);
                }
                Ok(Some(settings))
            }
            Err(LoadError::Problems { problems, source_text, .. }) => {
                let path = problems.first().map(|problem| PathBuf::from(&problem.file)).unwrap_or_default();
                self.note_settings(path, source_text, problems);
                self.without_settings = true;
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn note_settings(&mut self, path: PathBuf, text: String, problems: Vec<Problem>) {
        self.texts.insert(path.display().to_string(), text);
        self.problems.extend(problems);
        self.settings_files += 1;
        self.settings_file = Some(path);
    }

    fn files(&mut self, sources: Vec<Source>, settings: &Settings, now: Timestamp) {
        // A file that is named twice, or is the settings file itself, is read once.
        let real = |path: &Path| std::fs::canonicalize(path).ok();
        let mut seen: BTreeSet<PathBuf> = self.settings_file.as_deref().and_then(real).into_iter().collect();
        let mut names = BTreeMap::new();
        for source in sources {
            if source.path.as_deref().and_then(real).is_some_and(|path| !seen.insert(path)) {
                continue;
            }
            let mut problems = Vec::new();
            if is_settings_file(&source) {
                self.settings_files += 1;
                let bytes = source.bytes().unwrap_or_default();
                problems.extend(settings::read(&source.name, bytes, source.folder_of_lists()).1);
            } else {
                self.campaign_files += 1;
                let (campaign, found) = source.campaign(settings, now);
                problems.extend(found);
                problems.extend(
                    campaign.as_ref().and_then(|campaign| too_long(campaign, &source, settings, now)),
                );
                if let Some(campaign) = campaign
                    && let Some(first) = names.insert(campaign.id.clone(), source.name.clone())
                {
                    let message = format!("the id `{}` is taken by {first}", campaign.id);
                    let hint = "give one of them another `id`";
                    problems.push(source.problem(Code::DuplicateID, message, Some(hint)));
                    names.insert(campaign.id, first);
                }
            }
            if !problems.is_empty() {
                let text = String::from_utf8_lossy(source.bytes().unwrap_or_default()).into_owned();
                self.texts.insert(source.name, text);
            }
            self.problems.extend(problems);
        }
    }

    fn summary(&self) -> String {
        let plural =
            |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
        let count = |severity| self.problems.iter().filter(|problem| problem.severity == severity).count();
        let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
        let found = match (errors, warnings) {
            (0, 0) => "no problems".to_owned(),
            (errors, 0) => plural(errors, "error"),
            (0, warnings) => plural(warnings, "warning"),
            (errors, warnings) => format!("{}, {}", plural(errors, "error"), plural(warnings, "warning")),
        };
        if self.without_settings {
            return format!("{found} in the settings; campaigns can be checked when these are right");
        }
        let mut files = plural(self.campaign_files, "campaign file");
        if self.settings_files > 0 {
            files += &format!(" and {}", plural(self.settings_files, "settings file"));
        }
        let against = match &self.settings_file {
            Some(path) => path.display().to_string(),
            None => "the built-in settings".to_owned(),
        };
        format!("{files} checked against {against}: {found}")
    }
}

/// The warning that a run of a campaign is not over in its time.
fn too_long(campaign: &Campaign, source: &Source, settings: &Settings, now: Timestamp) -> Option<Problem> {
    let (cost, give_up) = overrun(campaign, source, settings, now)?;
    let sending = SignedDuration::from_secs(cost.sending.as_secs());
    let message = format!(
        "{} recipients in {} calls take {sending:#} or more under the limits, and the next run is not over when its \
         `finishWithin` is, at {}",
        cost.recipients,
        cost.calls,
        plan::local(give_up, &campaign.calendar.zone)
    );
    let hint = "who is left then becomes `expired`: allow more time, a wider window, or higher limits";
    let mut problem = source.problem(Code::TooLong, message, Some(hint));
    problem.severity = Severity::Warning;
    if let Ok(Value::Mapping(entries)) = yaml::parse(&source.name, source.bytes()?).map(|node| node.value)
        && let Some(entry) = entries.iter().find(|entry| entry.key == "finishWithin")
    {
        let span = entry.value.span;
        (problem.line, problem.column, problem.end_column) = (span.line, span.column, span.end_column);
        problem.path = entry.key.clone();
    }
    Some(problem)
}

/// Whether a file is meant to be settings: it says which gateways there are, or is called so.
fn is_settings_file(source: &Source) -> bool {
    let Some(bytes) = source.bytes() else { return false };
    if source.path.as_deref().and_then(Path::file_name).is_some_and(|name| name == "campaignd.yaml") {
        return true;
    }
    match yaml::parse(&source.name, bytes).map(|node| node.value) {
        Ok(Value::Mapping(entries)) => {
            let has = |key: &str| entries.iter().any(|entry| entry.key == key);
            has("gateways") && !has("message")
        }
        _ => false,
    }
}
