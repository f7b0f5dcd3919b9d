"""Starts livesnn as a node, and again when it ends: ros2 launch livesnn_ros livesnn.launch.py source:=camera."""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from livesnn.infer.decide import THRESHOLD

ARGUMENTS = {
    "source": ("camera", str, "camera, camera:SERIAL, ros2:/TOPIC, tcp://HOST:PORT or simulate:gestures"),
    "model": ("", str, "name or folder of a model; default: the one that fits the source"),
    "threshold": (str(THRESHOLD), float, "smallest probability that makes a decision"),
}


def generate_launch_description() -> LaunchDescription:
    """Return the node, with a launch argument for each of these parameters and for the namespace."""
    node = Node(
        package="livesnn_ros",
        executable="node",
        name="livesnn",
        namespace=LaunchConfiguration("namespace"),
        parameters=[
            {
                name: ParameterValue(LaunchConfiguration(name), value_type=kind)
                for name, (_, kind, _) in ARGUMENTS.items()
            }
        ],
        output="screen",
        respawn=True,
        respawn_delay=2.0,
    )
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, _, text) in ARGUMENTS.items()
    ]
    namespace = DeclareLaunchArgument("namespace", default_value="", description="tells several cameras apart")
    return LaunchDescription([*arguments, namespace, node])
