"""ECG findings: abbreviation, SNOMED CT code, name.

Abbreviations and codes are those of the PhysioNet/CinC Challenge 2021; diagnoses that no label map of this
package can give are left out. The label maps of the sources are written in these abbreviations.

Source: https://github.com/physionetchallenges/evaluation-2021, dx_mapping_scored and dx_mapping_unscored.
"""

_FINDINGS: tuple[tuple[str, str, str], ...] = (
    ("AF", "164889003", "atrial fibrillation"),
    ("AFL", "164890007", "atrial flutter"),
    ("BBB", "6374002", "bundle branch block"),
    ("Brady", "426627000", "bradycardia"),
    ("CLBBB", "733534002", "complete left bundle branch block"),
    ("CRBBB", "713427006", "complete right bundle branch block"),
    ("IAVB", "270492004", "1st degree AV block"),
    ("IRBBB", "713426002", "incomplete right bundle branch block"),
    ("LAD", "39732003", "left axis deviation"),
    ("LAnFB", "445118002", "left anterior fascicular block"),
    ("LBBB", "164909002", "left bundle branch block"),
    ("LQRSV", "251146004", "low QRS voltages"),
    ("NSIVCB", "698252002", "nonspecific intraventricular conduction disorder"),
    ("NSR", "426783006", "sinus rhythm"),
    ("PAC", "284470004", "premature atrial contraction"),
    ("PR", "10370003", "pacing rhythm"),
    ("PRWP", "365413008", "poor R wave progression"),
    ("PVC", "427172004", "premature ventricular contractions"),
    ("LPR", "164947007", "prolonged PR interval"),
    ("LQT", "111975006", "prolonged QT interval"),
    ("QAb", "164917005", "Q wave abnormal"),
    ("RAD", "47665007", "right axis deviation"),
    ("RBBB", "59118001", "right bundle branch block"),
    ("SA", "427393009", "sinus arrhythmia"),
    ("SB", "426177001", "sinus bradycardia"),
    ("STach", "427084000", "sinus tachycardia"),
    ("SVPB", "63593006", "supraventricular premature beats"),
    ("TAb", "164934002", "T wave abnormal"),
    ("TInv", "59931005", "T wave inversion"),
    ("VPB", "17338001", "ventricular premature beats"),
    # Not scored in the Challenge.
    ("abQRS", "164951009", "abnormal QRS"),
    ("AB", "251173003", "atrial bigeminy"),
    ("AMI", "57054005", "acute myocardial infarction"),
    ("AnMI", "54329005", "anterior myocardial infarction"),
    ("AnMIs", "426434006", "anterior ischemia"),
    ("AP", "251268003", "atrial pacing pattern"),
    ("ATach", "713422000", "atrial tachycardia"),
    ("AVNRT", "251166008", "atrioventricular node reentrant tachycardia"),
    ("AVRT", "233897008", "atrioventricular reentrant tachycardia"),
    ("CHB", "27885002", "complete heart block"),
    ("ERe", "428417006", "early repolarization"),
    ("ICA", "251200008", "indeterminate cardiac axis"),
    ("IIAVB", "195042002", "2nd degree AV block"),
    ("IIAVBII", "426183003", "Mobitz type II atrioventricular block"),
    ("IIs", "425419005", "inferior ischaemia"),
    ("ILBBB", "251120003", "incomplete left bundle branch block"),
    ("JE", "426995002", "junctional escape"),
    ("JPC", "251164006", "junctional premature complex"),
    ("JTach", "426648003", "junctional tachycardia"),
    ("LAE", "67741000119109", "left atrial enlargement"),
    ("LAH", "446813000", "left atrial hypertrophy"),
    ("LIs", "425623009", "lateral ischaemia"),
    ("LPFB", "445211001", "left posterior fascicular block"),
    ("LVH", "164873001", "left ventricular hypertrophy"),
    ("MI", "164865005", "myocardial infarction"),
    ("MIs", "164861001", "myocardial ischemia"),
    ("MoI", "54016002", "Mobitz type I (Wenckebach) atrioventricular block"),
    ("NSSTTA", "428750005", "nonspecific ST T abnormality"),
    ("OldMI", "164867002", "old myocardial infarction"),
    ("PSVT", "67198005", "paroxysmal supraventricular tachycardia"),
    ("RAH", "446358003", "right atrial hypertrophy"),
    ("RVH", "89792004", "right ventricular hypertrophy"),
    ("SAB", "65778007", "sinoatrial block"),
    ("SPRI", "49578007", "shortened PR interval"),
    ("STC", "55930002", "ST changes"),
    ("STD", "429622005", "ST depression"),
    ("STE", "164931005", "ST elevation"),
    ("SVT", "426761007", "supraventricular tachycardia"),
    ("VBig", "11157007", "ventricular bigeminy"),
    ("VEB", "164884008", "ventricular ectopics"),
    ("VH", "266249003", "ventricular hypertrophy"),
    ("VPEx", "195060002", "ventricular pre-excitation"),
    ("VPP", "251266004", "ventricular pacing pattern"),
    ("VPVC", "251182009", "paired ventricular premature complexes"),
    ("VTrig", "251180001", "ventricular trigeminy"),
    ("WAP", "195101003", "wandering atrial pacemaker"),
    ("WPW", "74390002", "Wolff-Parkinson-White pattern"),
)

CODES: dict[str, str] = {abbreviation: code for abbreviation, code, _ in _FINDINGS}
"""Abbreviation -> SNOMED CT code."""

NAMES: dict[str, str] = {code: name for _, code, name in _FINDINGS}
"""SNOMED CT code -> name."""

ABBREVIATIONS: dict[str, str] = {code: abbreviation for abbreviation, code, _ in _FINDINGS}
"""SNOMED CT code -> abbreviation."""
